/* The sum of the rows of each bag, with prefetch: about as fast as a processor can read rows. Built by limit.py. */
#include <stdint.h>

#ifndef AHEAD
#define AHEAD 32
#endif
enum { LINE = 64 };

/* Inlined with a constant width, so that the sum of a bag stays in (AVX-512) registers. */
static inline void pool(
    const float *rows, const int64_t *ids, int64_t bags, int64_t pooling, int64_t width, float *restrict sums) {
    const int64_t lookups = bags * pooling;
    for (int64_t bag = 0; bag < bags; bag++) {
        float sum[width];
        for (int64_t column = 0; column < width; column++) sum[column] = 0;
        for (int64_t place = bag * pooling; place < (bag + 1) * pooling; place++) {
            if (place + AHEAD < lookups) {
                const char *next = (const char *)(rows + ids[place + AHEAD] * width);
                for (int64_t byte = 0; byte < width * 4; byte += LINE) __builtin_prefetch(next + byte);
            }
            const float *row = rows + ids[place] * width;
            for (int64_t column = 0; column < width; column++) sum[column] += row[column];
        }
        for (int64_t column = 0; column < width; column++) sums[bag * width + column] = sum[column];
    }
}

void pool_rows(const float *rows, const int64_t *ids, int64_t bags, int64_t pooling, int64_t width, float *sums) {
    switch (width) {
        case 16: pool(rows, ids, bags, pooling, 16, sums); break;
        case 32: pool(rows, ids, bags, pooling, 32, sums); break;
        case 64: pool(rows, ids, bags, pooling, 64, sums); break;
        case 128: pool(rows, ids, bags, pooling, 128, sums); break;
        default: pool(rows, ids, bags, pooling, width, sums);
    }
}
