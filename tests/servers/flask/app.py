import flask

app = flask.Flask(__name__)
clicks = 0

PAGE = """<!doctype html>
<title>flask serves this</title>
<form method="post" action="/click"><button id="count" data-ready="yes">{} clicks</button></form>
"""


@app.get("/")
def home():
    return PAGE.format(clicks)


@app.post("/click")
def click():
    global clicks
    clicks += 1
    # With the name by which the application knows itself.
    return flask.redirect(flask.url_for("home", _external=True))
