//! Work with tables, charts and documents, done with what the data image has.

use serde_json::json;

use super::work::output;
use crate::harness::docker::lines;
use crate::harness::{TestServer, not_run_but_in_ci};

/// What `make image-data` makes.
const DATA_IMAGE: &str = "casemate-data:latest";

/// A server for sandboxes from the data image; `None` where this machine has none.
fn data_server() -> Option<TestServer> {
    if lines(&["image", "inspect", "--format", "{{.Id}}", DATA_IMAGE]).is_empty() {
        not_run_but_in_ci(&format!(
            "there is no image {DATA_IMAGE}; `make image-data` makes it"
        ));
        return None;
    }
    Some(TestServer::new().image(DATA_IMAGE))
}

/// A chart with letters of four scripts and an emoji. A warning is an error: matplotlib warns of each
/// character that no font has.
const CHART: &str = r#"
cat > sales.csv <<'end'
month,city,sold
2026-01,東京,120
2026-02,東京,135
2026-01,Lagos,80
2026-02,Lagos,110
end
cat > chart.py <<'end'
import warnings
warnings.simplefilter("error", UserWarning)
import matplotlib.pyplot as plt
import pandas as pd
table = pd.read_csv("sales.csv").pivot(index="month", columns="city", values="sold")
axes = table.plot.bar(title="Sales 売上 매출 Продажи 📈")
axes.set_ylabel("€ × 1,000")
plt.savefig("chart.png", dpi=100)
end
python3 chart.py
python3 - <<'end'
from PIL import Image
chart = Image.open("chart.png").convert("RGB")
print(chart.size, len(set(chart.getdata())) > 50)
end
file --brief --mime-type chart.png
"#;

#[tokio::test]
async fn a_csv_becomes_a_chart_that_the_model_sees() {
    let Some(server) = data_server() else { return };
    let server = server.start().await;
    let result = server.shell_within(CHART, 80).await;
    assert_eq!(result.stderr(), "", "{}", result.0);
    assert_eq!(result.stdout(), "(640, 480) True\nimage/png\n");
    let read = server.read("chart.png").await;
    let image = &read.0["content"][0];
    assert_eq!(image["type"], json!("image"), "{}", read.0);
    assert_eq!(image["mimeType"], json!("image/png"));
}

const WORKBOOK: &str = r#"
cat > write.py <<'end'
import pandas as pd
table = pd.DataFrame({"name": ["Ada", "Bob", "Zoë"], "hours": [7.5, 3, 11]})
with pd.ExcelWriter("in.xlsx", engine="xlsxwriter") as writer:
    table.to_excel(writer, sheet_name="Hours", index=False)
    chart = writer.book.add_chart({"type": "column"})
    chart.add_series({"values": "=Hours!$B$2:$B$4"})
    writer.sheets["Hours"].insert_chart("D2", chart)
end
cat > change.py <<'end'
import openpyxl
book = openpyxl.load_workbook("in.xlsx")
sheet = book["Hours"]
sheet["B5"] = "=SUM(B2:B4)"
sheet.append(["Ünal", 4])
book.save("out.xlsx")
end
python3 write.py && python3 change.py
python3 -c 'import pandas; t = pandas.read_excel("out.xlsx"); print(t.name.dropna().tolist(), t.hours.sum())'
unzip -l in.xlsx | grep -c xl/charts/chart1.xml
"#;

#[tokio::test]
async fn a_workbook_goes_in_and_out() {
    let Some(server) = data_server() else { return };
    let printed = output(&server, WORKBOOK).await;
    assert_eq!(printed, "['Ada', 'Bob', 'Zoë', 'Ünal'] 25.5\n1");
}

const DOCUMENTS: &str = r#"
python3 - <<'end'
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas
page = canvas.Canvas("invoice.pdf", pagesize=A4)
page.drawString(72, 770, "Invoice 4711")
page.drawString(72, 750, "Total: 1.234,56")
page.showPage(); page.drawString(72, 770, "Second page"); page.save()
end
pdftotext -layout -nopgbrk invoice.pdf - | grep -E 'Invoice|Total|Second' | sed 's/^ *//'
python3 - <<'end'
import pypdf
reader = pypdf.PdfReader("invoice.pdf")
print(len(reader.pages), reader.pages[1].extract_text().strip())
from docx import Document
document = Document()
document.add_heading("Minutes", 1)
document.add_paragraph("Ada and Zoë met.")
document.save("minutes.docx")
end
pdftoppm -r 50 -png -f 1 -l 1 invoice.pdf page && file --brief --mime-type page-1.png
pandoc --to plain minutes.docx | xargs
printf '# One\n\n- text\n\n# Two\n\n- more\n' | pandoc --from markdown --output slides.pptx
unzip -l slides.pptx | grep -c 'ppt/slides/slide[12].xml'
"#;

#[tokio::test]
async fn documents_are_written_and_read_as_text() {
    let Some(server) = data_server() else { return };
    let printed = output(&server, DOCUMENTS).await;
    let wanted = "Invoice 4711\nTotal: 1.234,56\nSecond page\n2 Second page\nimage/png\n\
                  Minutes Ada and Zoë met.\n2";
    assert_eq!(printed, wanted);
}

const REPORT: &str = r#"
python3 - <<'end'
import matplotlib.pyplot as plt
import numpy as np
x = np.linspace(0, 6, 100)
plt.plot(x, np.sin(x)); plt.savefig("sine.svg")
end
echo 'digraph { load -> clean -> report }' | dot -Tsvg > flow.svg
printf -- '---\ntitle: Report\nlang: en\n---\n\n# Result\n\n![sine](sine.svg)\n\n![flow](flow.svg)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n' > report.md
pandoc --self-contained --output report.html report.md
python3 -m http.server --bind 127.0.0.1 8200 > log 2>&1 &
curl --silent --retry 50 --retry-delay 1 --retry-connrefused --output /dev/null http://127.0.0.1:8200/
python3 - <<'end'
import requests
from bs4 import BeautifulSoup
page = BeautifulSoup(requests.get("http://127.0.0.1:8200/report.html").content, "lxml")
print(page.title.text, page("h1")[-1].text, [cell.text for cell in page("td")])
print(len(page("img")), all(image["src"].startswith("data:image/svg+xml") for image in page("img")))
end
kill %1
"#;

#[tokio::test]
async fn a_report_in_html_has_its_pictures_in_it_and_is_served() {
    let Some(server) = data_server() else { return };
    let printed = output(&server, REPORT).await;
    assert_eq!(printed, "Report Result ['1', '2']\n2 True");
}

const SCIENCE: &str = r#"
python3 - <<'end'
import numpy as np, scipy.optimize, sympy
from sklearn.linear_model import LinearRegression
x = np.arange(10.0).reshape(-1, 1)
print(LinearRegression().fit(x, 3 * x.ravel() + 1).coef_.round(6).tolist())
print(round(scipy.optimize.brentq(lambda x: x**2 - 2, 0, 2), 6))
print(sympy.integrate(sympy.Symbol("x") ** 2))
end
python3 -m venv --system-site-packages environment
environment/bin/python -c 'import pandas, sys; print(pandas.Series([1, 2]).sum(), sys.prefix != sys.base_prefix)'
ffmpeg -loglevel error -f lavfi -i testsrc=duration=1:size=64x48:rate=10 -f lavfi -i sine=duration=1 -shortest clip.mp4
ffprobe -loglevel error -show_entries stream=codec_type -of csv=p=0 clip.mp4 | sort | xargs
"#;

#[tokio::test]
async fn numbers_models_formulas_and_clips_are_computed_also_in_a_venv() {
    let Some(server) = data_server() else { return };
    let printed = output(&server, SCIENCE).await;
    assert_eq!(printed, "[3.0]\n1.414214\nx**3/3\n3 True\naudio video");
}
