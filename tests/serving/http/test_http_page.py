"""The page in headless Chromium: a click changes the list, by mouse and by keyboard, also on a phone."""

import os
import shutil
from pathlib import Path

import httpx
import pytest

from tests.serving.http.served import serving

webdriver = pytest.importorskip("selenium.webdriver", reason="the page is tested with selenium")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver on the PATH (Debian: chromium-driver)"
)


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    words = "headless=new no-sandbox disable-dev-shm-usage window-size=1200,900 force-prefers-reduced-motion"
    for word in words.split():
        options.add_argument(f"--{word}")
    options.add_argument("--host-resolver-rules=MAP rebound.example 127.0.0.1")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def url(bundle, tmp_path_factory):
    with serving(bundle, tmp_path_factory.mktemp("page") / "events.sqlite") as served:
        yield served.url


class Page:
    """What the tests read of the page."""

    def __init__(self, browser, url: str, user: str = "") -> None:
        self.browser = browser
        browser.get("about:blank")
        browser.get(f"{url}#{user}")
        self.settled()

    def settled(self) -> None:
        idle = "return document.getElementById('list')?.getAttribute('aria-busy') === 'false'"
        WebDriverWait(self.browser, 20).until(lambda _: self.browser.execute_script(idle))

    def texts(self, selector: str) -> list[str]:
        visible = "return [...document.querySelectorAll(arguments[0])].map((part) => part.innerText)"
        return self.browser.execute_script(visible, selector)

    def text(self, selector: str) -> str:
        return self.texts(selector)[0]

    def until(self, found) -> None:
        WebDriverWait(self.browser, 20).until(lambda _: found())

    def picture(self, name: str) -> None:
        """Shows something; it is kept in the folder that TORCHREC_EXT_PICTURES names, if it does."""
        png = self.browser.get_screenshot_as_png()
        assert png.startswith(b"\x89PNG") and len(png) > 10_000
        if folder := os.environ.get("TORCHREC_EXT_PICTURES"):
            Path(folder, f"{name}.png").write_bytes(png)

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_a_click_changes_the_list_and_the_history(browser, url):
    page = Page(browser, url, "2")
    assert page.text("#name") == "2" and page.text("#bundle") == "first"
    before, events = page.texts("#list .title"), page.texts("#history li span")
    assert len(before) == 10 and all(title.startswith("Film ") for title in before)
    browser.find_elements(By.CSS_SELECTOR, "#list .pick")[3].click()
    page.until(lambda: page.texts("#history li span")[:1] == before[3:4])
    page.settled()
    after = page.texts("#list .title")
    assert before[3] not in after and len(after) == 10 and page.texts("#history li span")[1:6] == events[:5]
    page.until(lambda: page.text("#position") == "1")
    page.until(lambda: page.text("#p99") != "–")
    assert "New:" in browser.find_element(By.ID, "changes").get_attribute("textContent")
    page.picture("page")
    assert page.errors() == []


@pytest.mark.slow
def test_a_stranger_begins_with_popular_items(browser, url):
    page = Page(browser, url, "2")
    browser.find_element(By.ID, "stranger").click()
    page.until(lambda: page.text("#name").startswith("visitor-"))
    page.settled()
    assert page.text("#source").startswith("popular") and page.text("#no-history")
    browser.find_elements(By.CSS_SELECTOR, "#list .pick")[0].click()
    page.until(lambda: page.text("#source") == "by the model first")
    assert len(page.texts("#history li")) == 1 and page.errors() == []


@pytest.mark.slow
def test_reasons_are_shown_on_demand(browser, url):
    page = Page(browser, url, "2")
    why = browser.find_elements(By.CSS_SELECTOR, "#list .why")[0]
    why.click()
    page.until(lambda: page.texts("#list .reasons li"))
    assert why.get_attribute("aria-expanded") == "true"
    assert page.texts("#list .reasons p")[0].startswith(("Because of Film ", "Nothing that is known"))
    page.picture("reasons")
    why.click()
    assert not page.texts("#list .reasons:not([hidden])") and page.errors() == []


@pytest.mark.slow
def test_everything_is_reached_by_keyboard(browser, url):
    page = Page(browser, url, "3")
    box = browser.find_element(By.ID, "user")
    box.clear()
    box.send_keys("5", Keys.ENTER)
    page.until(lambda: page.text("#name") == "5")
    page.settled()

    def focused():
        return browser.switch_to.active_element

    visited = []
    for _ in range(4):
        focused().send_keys(Keys.TAB)
        visited.append(focused().get_attribute("id") or focused().get_attribute("class") or focused().text)
    assert visited == ["Show", "stranger", "pick", "why quiet"], visited
    focused().send_keys(Keys.SHIFT, Keys.TAB)
    assert focused().get_attribute("class") == "pick"
    first = page.texts("#list .title")[0]
    focused().send_keys(Keys.ENTER)
    page.until(lambda: page.texts("#history li span")[:1] == [first])
    page.settled()
    assert focused().get_attribute("class") == "pick"  # the focus stays in the list


@pytest.mark.slow
def test_errors_are_shown_in_words(browser, url):
    page = Page(browser, url, "2")
    browser.execute_script("window.fetch = () => Promise.reject(new Error('down'))")
    browser.find_element(By.CSS_SELECTOR, "#who button").click()
    page.until(lambda: "does not answer" in page.text("#message"))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(scheme, browser, url):
    phone = {"width": 360, "height": 760, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        page = Page(browser, url, "a-user-with-a-very-long-id-that-has-no-place-to-break-" + "x" * 40)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
        heights = browser.execute_script(
            "return [...document.querySelectorAll('button, input')].filter((e) => e.offsetParent)"
            ".map((e) => e.getBoundingClientRect().height)"
        )
        assert min(heights) >= 40  # large enough for a finger
        page.picture(f"phone-{scheme}")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.slow
def test_a_page_of_another_site_learns_and_changes_nothing(browser, url):
    port = httpx.URL(url).port
    browser.get(f"http://rebound.example:{port}/users")
    assert "should be localhost" in browser.page_source
    before = httpx.get(f"{url}health").json()["position"]
    browser.get(f"http://localhost:{port}/health")  # another site to the browser
    send = (
        'const [url, done] = arguments, body = new Blob([\'{"user": 2, "item": 101}\']);'
        "fetch(url, { method: 'POST', mode: 'no-cors', body }).then((answer) => done(answer.type), done)"
    )
    assert browser.execute_async_script(send, f"{url}events") == "opaque"  # sent, and the answer hidden
    assert httpx.get(f"{url}health").json()["position"] == before
    browser.get_log("browser")


@pytest.mark.slow
def test_the_routes_are_described_without_a_network(browser, url):
    browser.get(f"{url}docs")
    WebDriverWait(browser, 20).until(lambda _: browser.find_elements(By.CSS_SELECTOR, ".routes details"))
    browser.execute_script("document.querySelectorAll('details').forEach((part) => part.open = true)")
    text = browser.execute_script("return document.getElementById('routes').textContent")
    assert "/recommend" in text and "exclude_seen" in text and '"user":1' in text
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    if folder := os.environ.get("TORCHREC_EXT_PICTURES"):
        browser.save_screenshot(os.path.join(folder, "docs.png"))
