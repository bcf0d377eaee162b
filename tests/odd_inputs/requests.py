"""Odd requests to `lookcast web`: method, target, what is sent, status, and the beginning of the line of JSON.

Without a line, the answer is no error. `{content}`, `{style}`, `{result}`, `{batch}`, `{failed}` and `{visit}` stand
for ids of the visit: two photos without masks, a result, a batch that waits, a batch whose photo failed, and the
cookie. `{foreign}`, `{foreign_result}` and `{foreign_batch}` stand for ids of another visit.
"""

import json

PHOTO, RESULT, BATCH = "/api/photos/{content}", "/api/results/{result}", "/api/batches/{batch}"
NO_PHOTO, NO_RESULT, NO_BATCH = (f"{what}: no such {what} in this visit" for what in ("photo", "result", "batch"))
NO_VISIT = "this browser has no visit, or its visit has ended; load the page again"
NO_ADDRESS, NO_METHOD = "Not Found", "Method Not Allowed"
CUT, FOREIGN_SITE = "There was an error parsing the body", "another web site made this request"
HUGE = "9" * 5000


def get(target, values, status, line, method="GET"):
    """Return requests for a target with different ends."""
    return [(method, f"{target}{value}", {}, status, line) for value in values]


def sent(header, values, status, line, target=f"{RESULT}/preview?side=16"):
    """Return requests with different values of a header."""
    return [("GET", target, {"headers": {header: value}}, status, line) for value in values]


def look(line, *changes, status=422):
    """Return requests for a result, each with a wrong field."""
    given = {"content": "{content}", "styles": [{"id": "{style}"}]}
    return [("POST", "/api/results", {"json": given | change}, status, line) for change in changes]


def style(line, *changes, status=422):
    """Return requests for a result, each with a wrong field of the style."""
    return look(line, *({"styles": [{"id": "{style}"} | change]} for change in changes), status=status)


def body(line, *texts, status=422, kind="application/json"):
    """Return requests for a result with odd bodies."""
    return [
        ("POST", "/api/results", {"content": text, "headers": {"content-type": kind}}, status, line) for text in texts
    ]


def deep(*texts):
    """Return requests with brackets that are not closed. The answer depends on how many levels this Python reads."""
    requests = []
    for text in texts:
        try:
            json.loads(text)
        except RecursionError:
            requests += body(CUT, text, status=400)
        except ValueError:
            requests += body("request: expected JSON", text)
    return requests


ADDRESSES = [
    # numbers and choices
    *get(
        f"{PHOTO}/preview?side=",
        ("x", "", "1e3", "0x40", "64,5", "64.5", "[64]", "null", "1%0a2", "%00"),
        422,
        "side: ",
    ),
    *get(f"{PHOTO}/preview?side=", (HUGE, "%E2%88%9E", "٦٤"), 422, "side: expected an integer, got '"),
    *get(f"{PHOTO}/preview?side=", ("-1", "15", "-0"), 422, "side: expected at least 16"),
    *get(f"{PHOTO}/preview?side=", ("2049", "1" * 30, "64&side=9000"), 422, "side: expected at most 2048"),
    *get(
        f"{RESULT}/preview?strength=", ("nan", "inf", "1e999", "1.0001"), 422, "strength: expected at most 1.0, got '"
    ),
    *get(f"{RESULT}/preview?strength=", ("-inf", "-0.1"), 422, "strength: expected at least 0.0, got '"),
    *get(f"{RESULT}/preview?strength=", ("x", "", "0,5", "%E2%88%9E"), 422, "strength: expected a number, got '"),
    *get(f"{RESULT}/preview?side=16&strength=", ("-0", "1e-400"), 200, None),
    *get(
        f"{RESULT}/lines?format=", ("JPEG", "", "../x", "heic"), 422, "format: expected 'jpeg', 'png', 'tiff' or 'webp'"
    ),
    *get(f"{RESULT}/lut?format=", ("png", "cube%00"), 422, "format: expected 'cube' or 'hald', got '"),
    *get(f"{PHOTO}/crop?y=0&w=1&h=1&x=", ("1e2", ""), 422, "x: expected an integer, got '"),
    *get(f"{PHOTO}/crop?y=0&w=1&h=1&x=", ("96", "9" * 25), 422, "x, y, w, h: the crop 1x1+9"),
    *get(f"{PHOTO}/crop?x=0&y=0&", ("w=0&h=1", "w=1&h=-9"), 422, ("w: ", "h: ")),
    *get(f"{PHOTO}/crop?x=0&y=0&w=1", ("", "&H=1"), 422, "h: expected a value, got none"),
    *get(f"{PHOTO}/crop?x=0&y=0&h=1&w=", ("2049", "9" * 25), 422, "w, h: expected at most 2048 pixels, got "),
    # ids of others, of another kind, and no ids
    *get(
        "/api/photos/", ("{foreign}/preview", "{result}/preview", "%2e%2e/preview", "{content}%00/mask"), 404, NO_PHOTO
    ),
    *get("/api/results/", ("{foreign_result}/lut", "{content}/download"), 404, NO_RESULT),
    *get("/api/batches/", ("{foreign_batch}", "{result}", "{foreign_batch}/zip"), 404, NO_BATCH),
    *get("/api/", ("photos/{foreign}", "photos/x", "photos/{foreign}/mask"), 404, NO_PHOTO, "DELETE"),
    *get("/api/batches/", ("{foreign_batch}", "x"), 404, NO_BATCH, "DELETE"),
    *get(
        "/api/examples/",
        ("contents/none", "styles/" + "x" * 5000, "contents/%E2%80%AE"),
        404,
        "example: no such example",
    ),
    *get("/api/examples/", ("masks/city", "%00/city"), 422, "kind: expected 'contents' or 'styles', got '"),
    # paths
    *get(
        "/",
        ("..%2f..%2fapp.py", "..%5c..%5capp.py", "style/%2e%2e/%2e%2e/app.py", ".%2e/", "%00", "~root"),
        404,
        NO_ADDRESS,
    ),
    *get("/", ("C:/x", HUGE, "a/" * 2000, "%ff%fe", "app.js/x", "index.html%00.js", "style", "*"), 404, NO_ADDRESS),
    *get("/", ("/api/settings", "http://evil.example/", "%0d%0aX:1", "page/app.js", "__init__.py"), 404, NO_ADDRESS),
    *get(
        "/api",
        ("", "/", "//settings", "/settings/", "/Settings", "/%ff", "/settings%00"),
        404,
        NO_ADDRESS,
    ),
    *get("/api/photos/", ("..%2f..%2fx/preview", "%2Fetc%2Fpasswd/preview", "x/y/preview"), 404, NO_ADDRESS),
    *get("/", ("?x=../../etc/passwd", "app.js?../"), 200, None),
    # methods
    *((method, "/api/results", {}, 405, NO_METHOD) for method in ("OPTIONS", "TRACE", "PUT", "PROPFIND")),
    *((method, "/", {}, 405, NO_METHOD) for method in ("OPTIONS", "TRACE", "POST", "DELETE", "BREW")),
    *((method, PHOTO, {}, 405, NO_METHOD) for method in ("PATCH", "PUT", "POST")),
    ("CONNECT", "/api/settings", {}, 405, NO_METHOD),
    *(("HEAD", target, {}, 404, None) for target in (f"{PHOTO}/preview", "/none")),  # without a body
]

BODIES = [
    *look("content: ", {"content": None}, {"content": 7}, {"content": ["{content}"]}, {"content": {}}),
    *look(NO_PHOTO, {"content": "{foreign}"}, {"content": "../x"}, {"content": "\0"}, {"content": ""}, status=404),
    *look("styles: expected a list", {"styles": "x"}, {"styles": {}}, {"styles": None}),
    *look("styles: expected 16 or fewer items", {"styles": [{"id": "{style}"}] * 17}),
    *look("styles.0: expected a JSON object, got ", {"styles": [None]}, {"styles": [[]]}, {"styles": ["{style}"]}),
    *look("styles: the checkpoint tiny needs a style photo", {"styles": []}, status=400),
    *style("styles.0.id: expected a string, got ", {"id": 1}, {"id": None}, {"id": ["{style}"]}),
    *style(NO_PHOTO, {"id": "{foreign}"}, {"id": "{result}"}, status=404),
    *style("styles.0.weight: expected a number, got ", {"weight": "2"}, {"weight": True}, {"weight": None}),
    *style("weights: expected positive numbers, got ", {"weight": 0}, {"weight": -1}, status=400),
    *style("styles.0.wait: unknown argument", {"wait": 1}),
    *look("refine: expected an integer", {"refine": "2"}, {"refine": True}, {"refine": 1.5}, {"refine": None}),
    *look("refine: expected at least 0, got -1", {"refine": -1}),
    *look("refine: expected an integer from 0 to 100, got ", {"refine": 101}, {"refine": 10**400}, status=400),
    *look("use_masks: expected True, False or 'auto', got ", {"use_masks": "yes"}, {"use_masks": None}),
    *look("masks: photo.jpg has no mask, and no style has one", {"use_masks": True}, status=400),
    *look("checkpoint: expected a string, got ", {"checkpoint": 7}, {"checkpoint": ["tiny"]}),
    *look(
        "checkpoint: expected one of tiny, universal_free, universal, got '/etc/passwd'",
        {"checkpoint": "/etc/passwd"},
        status=400,
    ),
    *look(
        "checkpoint: expected one of ",
        {"checkpoint": "x" * 5000},
        {"checkpoint": "a\nb"},
        {"checkpoint": "💥"},
        status=400,
    ),
    *look("extra: unknown argument", {"extra": 1}),
    *body("request: expected JSON", b"{", b'{"content": "', b"\xff\xfe", b"\0", b"--x\r\n\r\n1\r\n--x--"),
    *body("request: expected a JSON object, got ", b"[]", b"null", b"7", b'"x"', b"NaN"),
    *body("request: expected a JSON object, got none", b""),
    *body(NO_PHOTO, b'{"content": "\\ud800"}', '{"content": "x"}'.encode("utf-16"), status=404),
    *body(
        "weights: expected ",
        *(
            b'{"content": "{content}", "styles": [{"id": "{style}", "weight": %s}]}' % number
            for number in (b"NaN", b"Infinity", b"1e999")
        ),
        status=400,
    ),
    *body(CUT, b'{"refine":' + HUGE.encode() + b"}", status=400),
    *deep(b"[" * 30000, b'{"a":' * 9000),
    *body("request: the body has more than the limit of 65536 bytes", b" " * 65537, status=413),
    *(
        request
        for kind in ("text/plain", "multipart/form-data; boundary=x", "", "x" * 3000)
        for request in body("request: expected a JSON object, got ", b'{"content": "{content}"}', kind=kind)
    ),
    ("POST", "/api/masks/auto", {"json": {"content": "{content}"}}, 422, "styles: expected a value, got none"),
    ("POST", "/api/masks/auto", {"json": {"content": "{content}", "styles": ["{foreign}"]}}, 404, NO_PHOTO),
    ("POST", "/api/batches", {"json": {"strength": "0.5"}}, 422, "strength: expected a number, got '0.5'"),
    ("POST", "/api/batches", {"json": {"strength": 1.01}}, 422, "strength: expected at most 1.0, got 1.01"),
    ("POST", "/api/batches", {"json": {"content": "{content}"}}, 422, "content: unknown argument"),
    ("POST", "/api/photos/example?name=city&kind=masks", {}, 422, "kind: expected 'contents' or 'styles', got 'masks'"),
    ("POST", "/api/photos/example?name=%2e%2e%2fCREDITS&kind=styles", {}, 404, "example: no such example"),
    ("POST", "/api/photos", {"content": b"x"}, 422, "name: expected a value, got none"),
    ("POST", f"/api/photos?name={'x' * 1001}", {"content": b"x"}, 422, "name: expected at most 1000 characters"),
    (
        "POST",
        "/api/photos?name=a%0d%0aX-Evil:1.jpg",
        {"content": b"x"},
        400,
        "aX-Evil1.jpg: not a photo, or of an unknown format",
    ),
    ("PUT", f"{PHOTO}/mask", {}, 400, "upload: expected the bytes of a file, got none"),
    ("PUT", "/api/photos/{foreign}/mask", {"content": b"x"}, 404, NO_PHOTO),
    # a wrong order of calls
    ("POST", f"{BATCH}/start", {}, 422, "photos: a batch needs at least one photo"),
    ("GET", f"{BATCH}/zip", {}, 422, "batch: 0 of 0 photos are done; wait for the rest"),
    ("GET", "/api/batches/{failed}/zip", {}, 422, "batch: every photo failed, so there is nothing to download"),
    ("POST", "/api/batches/{failed}/start", {}, 422, "batch: it is done already"),
    ("POST", "/api/batches/{failed}/photos?name=a", {"content": b"x"}, 422, "batch: it is done already"),
    ("GET", f"{PHOTO}/mask", {}, 404, "mask: no such mask in this visit"),
]

HEADERS = [
    *sent("cookie", ("", "lookcast_visit=", "lookcast_visit=../../etc", "lookcast_visit=" + "x" * 9000), 404, NO_VISIT),
    *sent(
        "cookie", (";;=;=", "lookcast_visit=\xff", "LOOKCAST_VISIT={visit}", "lookcast_visit={style}"), 404, NO_VISIT
    ),
    *sent("content-length", ("x", "-1", "1e3", "²"), 400, "content-length: expected a number of bytes, got '"),
    *sent("content-length", ("65537", HUGE), 413, "request: the body has more than the limit of 65536 bytes"),
    *sent("host", ("localhost, evil", "localhost\r\nX: 1", "[::1", "evil.example", ""), 403, "host: '"),
    *sent("origin", ("http://localhost:8750", "x", "", "null"), 403, FOREIGN_SITE),
    *sent("sec-fetch-site", ("cross-site", "none, x"), 403, FOREIGN_SITE),
    *sent("range", ("bytes=5-2", "bytes=999999-", "x", "bytes=0-0," * 2000), 200, None, f"{RESULT}/download"),
    *sent("range", ("bytes=5-2", "bytes=999999-", "bytes=0-0," * 2000), 200, None, "/app.js"),
    *sent("if-none-match", ("\xff", "*"), 200, None),
    *sent("x-http-method-override", ("DELETE",), 200, None),
    *sent("content-encoding", ("gzip",), 200, None),
    *sent("authorization", ("Basic ////",), 200, None),
]
