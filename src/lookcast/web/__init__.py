"""The server of `lookcast web`: a page in the browser that gives photos the look of other photos."""
