# The package is installed by the test that uses it, not imported from here.
collect_ignore = ["third_party"]
