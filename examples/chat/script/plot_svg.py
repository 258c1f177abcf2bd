import csv
from html import escape

rows = list(csv.DictReader(open("sales.csv")))
months = sorted({row["month"] for row in rows})
colours = dict(zip(sorted({row["city"] for row in rows}), ["#4269d0", "#efb118"]))
units = {(row["month"], row["city"]): int(row["units"]) for row in rows}
scale = 200 / max(units.values())
bars = []
for x, month in enumerate(months):
    bars.append(f'<text x="{60 + 110 * x}" y="245">{escape(month)}</text>')
    for n, (city, colour) in enumerate(colours.items()):
        height = units[month, city] * scale
        bars.append(f'<rect x="{50 + 110 * x + 38 * n}" y="{225 - height:.0f}" width="34" height="{height:.0f}" fill="{colour}"><title>{escape(city)}</title></rect>')
with open("chart.svg", "w") as file:
    file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 500 260" font-family="sans-serif" font-size="14">{"".join(bars)}</svg>')
print("chart.svg:", len(months), "months")
