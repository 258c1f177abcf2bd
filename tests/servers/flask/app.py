import flask

app = flask.Flask(__name__)


@app.get("/")
def home():
    return "flask serves this"
