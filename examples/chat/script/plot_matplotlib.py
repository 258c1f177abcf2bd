import matplotlib.pyplot as plt
import pandas as pd

sales = pd.read_csv("sales.csv").pivot(index="month", columns="city", values="units")
sales.plot.bar(rot=0, ylabel="units", title="Sales by month")
plt.savefig("chart.png", dpi=120)
print("chart.png:", len(sales), "months")
