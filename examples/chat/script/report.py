import csv
import pathlib
import shutil
from collections import Counter
from html import escape

totals = Counter()
for row in csv.DictReader(open("sales.csv")):
    totals[row["city"]] += int(row["units"])
chart = next(pathlib.Path().glob("chart.*"))
pathlib.Path("report").mkdir(exist_ok=True)
shutil.copy(chart, "report")
table = "".join(f"<tr><th>{escape(city)}<td>{units}" for city, units in totals.most_common())
pathlib.Path("report/index.html").write_text(
    f'<!doctype html><meta charset="utf-8"><title>Sales</title><h1>Sales</h1><img src="{chart}" alt="Units by month"><table>{table}</table>'
)
print("report/index.html:", dict(totals))
