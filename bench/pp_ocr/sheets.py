"""The pages of the benchmark, as data: what stands on each.

python -m bench.pp_ocr.sheets FOLDER     # writes each as NAME.png and NAME.md
"""

import sys
from pathlib import Path

from bench.pp_ocr.typesetting import CJK, Grid, Items, Pairs, Run, Sheet, Words, draw, markdown, scanned

SANS = ("LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf")
DEJAVU = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")

HARBOUR = (
    "The harbour of Westerhaven was built in three stages between 1868 and 1904. The first basin was dug by hand, "
    "and the earth that came out of it raised the low meadows behind the town. A steam crane was bought in 1871; it "
    "lifted four tons and was in use until the winter of 1929, when its boiler was con\u00addemned."
)
TRADE = (
    "Timber from the north made up more than half of the trade. It came in spring, as soon as the ice had gone, and "
    "was stacked along the eastern quay until the saw\u00admills could take it. Grain, coal and salted fish followed "
    "in that order. Passengers were few before the railway reached the town; after\u00adwards two boats a day crossed "
    "the bay, and on market days a third was put on at noon."
)
FLOOD = (
    "On the night of 12 January 1916 the sea rose 3.4 metres above its mean level. The outer gate held, but the wall "
    "beside it gave way over a length of 40 metres. Nobody was killed. The repair took until August and cost 212,000 "
    "crowns, of which the province paid two thirds."
)
LIGHT = (
    "A light was first shown on the mole in 1870. It burned rape oil, later paraffin, and could be seen for nine miles "
    "in clear weather. The present tower is of iron and was brought in parts from a foundry up the river. Its lamp "
    "turns once in fifteen seconds."
)
PILOTS = (
    "Pilots were chosen from among the fishermen. Each had to know the channel by day and by night, and the marks on "
    "shore by heart. They were paid by the foot of draught. In a good year a pilot earned as much as the schoolmaster, "
    "in a bad one less than a deck hand."
)
ROADS = (
    "The road along the dyke was paved in 1932. Before that, carts sank to their axles from October to March, and the "
    "baker of the outer village kept a boat for his rounds. A bus has run since 1934, four times a day on weekdays."
)

SHEETS: dict[str, Sheet] = {
    "one column": Sheet(
        top=(
            Words("A short history of the harbour", "title"),
            Words(HARBOUR),
            Words(TRADE),
            Words("The great flood", "heading"),
            Words(FLOOD),
            Words("The light", "heading"),
            Words(LIGHT),
            Words(PILOTS),
        ),
        head=("Westerhaven and its sea", "17"),
    ),
    "two columns": Sheet(
        top=(Words("Westerhaven: a port and its people", "title"),),
        columns=(
            (Words(HARBOUR), Words(TRADE), Words("The great flood", "heading"), Words(FLOOD)),
            (Words("The light", "heading"), Words(LIGHT), Words(PILOTS), Words("Roads", "heading"), Words(ROADS)),
        ),
        end=(
            Words(
                "* All sums are in crowns of the year named, as the books of the port have them; they were kept by the "
                "harbour master and his clerk, and are held today in the archive of the town.",
                "note",
            ),
        ),
        foot="– 4 –",
        size=22,
    ),
    "three columns": Sheet(
        top=(Words("The Westerhaven Courier", "title"), Words("Saturday, 15 January 1916. Price 5 cents.")),
        columns=(
            (Words("Sea breaks the wall", "heading"), Words(FLOOD), Words(ROADS)),
            (Words("Notes on pilots", "heading"), Words(PILOTS), Words(LIGHT)),
            (Words("Timber is late", "heading"), Words(TRADE)),
        ),
        size=20,
    ),
    "invoice": Sheet(
        top=(
            Words("Invoice 2026-0417", "title"),
            Pairs(("Hansen & Daughter Ltd", "14 Quay Street", "Westerhaven 8031")),
            Grid(
                (
                    ("Invoice date", "17 April 2026"),
                    ("Customer number", "88-1203"),
                    ("Payment due", "17 May 2026"),
                ),
                (3, 5),
            ),
            Grid(
                (
                    ("Item", "Description", "Qty", "Unit price", "Amount"),
                    ("1001", "Ergonomic office chair, black", "4", "189.00", "756.00"),
                    ("1002", "Standing desk, 160 x 80 cm", "2", "449.50", "899.00"),
                    ("1017", "Monitor arm, double", "4", "74.90", "299.60"),
                    ("2040", "Delivery and assembly", "1", "120.00", "120.00"),
                    ("", "", "", "Subtotal", "2,074.60"),
                    ("", "", "", "VAT 20%", "414.92"),
                    ("", "", "", "Total EUR", "2,489.52"),
                ),
                (1.2, 5, 1, 2, 2),
                right=(2, 3, 4),
            ),
            Words("Please pay within 30 days to the account given on the back. Thank you for your order!"),
            Words("Hansen & Daughter Ltd, registered in Westerhaven under number 7781.", "note"),
        ),
        fonts=SANS,
    ),
    "ruled table": Sheet(
        top=(
            Words("Opening hours", "title"),
            Grid(
                (
                    ("Place", "Monday to Friday", "Weekend", "Remarks"),
                    ("Library", "10:00–19:00", "11:00–16:00", ""),
                    ("Swimming pool", "06:30–21:00", "08:00–18:00", "Closed on the first Monday of each month"),
                    ("Town hall", "08:00–16:30", "", "Weddings by appointment on Saturdays"),
                    ("Museum", "", "10:00–17:00", ""),
                ),
                (2, 2.4, 2, 3),
                is_ruled=True,
                leading=1.8,
            ),
        ),
        fonts=SANS,
    ),
    "plain table": Sheet(
        top=(
            Words("Rainfall and temperature", "heading"),
            Words("The figures are means of the years 1991 to 2020, taken at the station on the mole."),
            Grid(
                (
                    ("Month", "Rain, mm", "Days", "Low, °C", "High, °C"),
                    ("January", "61.0", "14", "-1.2", "4.8"),
                    ("February", "44.7", "", "-1.6", "5.3"),
                    ("March", "48.9", "12", "1.1", "9.0"),
                    ("April", "29.8", "9", "4.0", "14.2"),
                    ("May", "55.3", "10", "8.4", "19.1"),
                    ("June", "", "", "11.6", "22.0"),
                    ("July", "78.6", "11", "13.5", "24.1"),
                    ("Year", "318.3", "56", "", ""),
                ),
                (2, 1.4, 1, 1.4, 1.4),
                right=(1, 2, 3, 4),
                leading=1.35,
            ),
            Words("Gaps are months in which the gauge was out of order."),
        ),
    ),
    "lists": Sheet(
        top=(
            Words("Packing for the ferry", "title"),
            Words("Bring as little as you can. Porters are not to be had on the islands, and the paths are steep."),
            Items(
                (
                    "Warm clothes, for the deck is windy even in summer and there is no shelter on its northern side",
                    "Good shoes",
                    "Papers:",
                    Items(("the ticket", "a passport or identity card"), mark="–"),
                    "Something to read",
                )
            ),
            Words("On the day", "heading"),
            Items(
                (
                    "Be at the quay an hour before the boat leaves.",
                    "Show your ticket at the white hut and have it stamped, or you will be sent back from the gangway.",
                    "Leave heavy bags with the purser.",
                    "Keep your number until the end of the crossing.",
                ),
                mark="1.",
            ),
        ),
        fonts=DEJAVU,
    ),
    "form": Sheet(
        top=(
            Words("Application for a berth", "title"),
            Grid(
                (
                    ("Name of the boat", "Margarethe II"),
                    ("Length over all", "9.40 m"),
                    ("Draught", "1.35 m"),
                    ("Owner", "Ingrid Solberg"),
                    ("Telephone", "+47 555 0182"),
                    ("Wanted from", "1 May 2026"),
                    ("until", "30 September 2026"),
                ),
                (2, 3),
                is_ruled=True,
                leading=1.9,
            ),
            Words("I have read the rules of the harbour and will keep them."),
        ),
        fonts=SANS,
    ),
    "receipt": Sheet(
        top=(
            Pairs(("KAFFEHUSET AT THE QUAY", "Quay Street 3", "Tel. 555 0199")),
            Grid(
                (
                    ("2 x Coffee, large", "9.00"),
                    ("1 x Tea", "3.20"),
                    ("3 x Cinnamon bun", "11.40"),
                    ("1 x Soup of the day", "8.90"),
                    ("TOTAL", "32.50"),
                    ("Cash", "40.00"),
                    ("Change", "7.50"),
                ),
                (3, 1),
                right=(1,),
                leading=1.3,
            ),
            Pairs(("14.03.2026 12:47", "Thank you!")),
        ),
        page=(640, 900),
        fonts=("LiberationMono-Regular.ttf", "LiberationMono-Bold.ttf"),
    ),
    "Chinese": Sheet(
        top=(
            Words("港口简史", "title"),
            Words(
                "韦斯特港建于一八六八年至一九〇四年之间，分三个阶段完成。第一个船坞由人工挖掘，挖出的泥土填高了城后的低洼草地。"
                "一八七一年购置了一台蒸汽起重机，可吊起四吨货物，一直使用到一九二九年冬天。"
            ),
            Words("大洪水", "heading"),
            Words(
                "一九一六年一月十二日夜间，海水上涨三点四米。外闸安然无恙，旁边的堤坝却塌了四十米。无人遇难。修复工程持续到八月，"
                "耗资二十一万二千克朗，其中三分之二由省政府承担。"
            ),
            Grid(
                (("月份", "雨量", "天数"), ("一月", "61.0", "14"), ("二月", "44.7", "12"), ("三月", "48.9", "12")),
                (2, 1, 1),
                is_ruled=True,
                leading=1.9,
            ),
        ),
        fonts=(CJK, CJK),
        size=28,
    ),
    "indented paragraphs": Sheet(
        top=(
            Words("Westerhaven in a hundred years", "title"),
            Run((HARBOUR, TRADE, FLOOD, LIGHT, PILOTS, ROADS)),
        ),
        foot="23",
        fonts=DEJAVU,
        size=21,
    ),
    "table in a column": Sheet(
        top=(Words("Rain and wind on the mole", "title"),),
        columns=(
            (
                Words(LIGHT),
                Grid(
                    (
                        ("Season", "Rain, mm", "Gales"),
                        ("Winter", "154.6", "9"),
                        ("Spring", "134.0", "5"),
                        ("Summer", "201.2", "1"),
                        ("Autumn", "248.8", "7"),
                    ),
                    (2, 2, 1),
                    right=(1, 2),
                    leading=1.3,
                ),
                Words(ROADS),
            ),
            (Words(HARBOUR), Words(TRADE), Words(FLOOD)),
        ),
        size=22,
    ),
    "timetable": Sheet(
        top=(
            Words("Boats across the bay", "title"),
            Grid(
                (
                    ("Westerhaven, quay", "06:10", "07:40", "09:10", "", "12:40", "15:10", "18:05"),
                    ("Mole", "06:18", "", "09:18", "", "12:48", "15:18", ""),
                    ("Osterby", "06:41", "08:07", "09:41", "10:30", "13:11", "15:41", "18:32"),
                    ("Osterby, north", "", "08:19", "", "10:42", "13:23", "", "18:44"),
                    ("Lille Holm", "07:02", "08:33", "", "10:56", "13:37", "16:02", "18:58"),
                    ("Store Holm", "07:15", "", "10:12", "11:09", "", "16:15", "19:11"),
                ),
                (3, 1, 1, 1, 1, 1, 1, 1),
                leading=1.3,
            ),
            Words("No boats on 24 December and on days with a storm warning."),
        ),
        fonts=SANS,
        size=22,
    ),
    "sentences in a table": Sheet(
        top=(
            Words("What to do when", "title"),
            Grid(
                (
                    ("Signal", "What it means", "What to do"),
                    (
                        "One long tone",
                        "A ship is leaving its berth",
                        "Keep clear of the channel and wait at the red buoy until it has passed",
                    ),
                    (
                        "Three short tones",
                        "The engines of a ship run astern",
                        "Give way on its port side",
                    ),
                    ("Five short tones", "Danger: your course is not understood", "Turn away at once"),
                ),
                (2, 3, 4),
                is_ruled=True,
                leading=1.9,
            ),
        ),
        fonts=SANS,
    ),
    "menu": Sheet(
        top=(Words("At the Old Crane", "title"),),
        columns=(
            (
                Words("Soups", "heading"),
                Grid((("Fish soup", "9.50"), ("Pea soup", "7.00"), ("Soup of the day", "6.50")), (4, 1), right=(1,)),
                Words("Fish", "heading"),
                Grid(
                    (("Plaice, fried", "18.50"), ("Cod with mustard", "21.00"), ("Herring", "13.50")),
                    (4, 1),
                    right=(1,),
                ),
            ),
            (
                Words("Sweets", "heading"),
                Grid((("Apple cake", "6.00"), ("Red fruit jelly", "5.50"), ("Ice cream", "4.50")), (4, 1), right=(1,)),
                Words("Drinks", "heading"),
                Grid((("Coffee", "3.00"), ("Beer, 0.4 l", "4.80"), ("Water", "2.50")), (4, 1), right=(1,)),
            ),
        ),
        size=26,
    ),
}
for name in ("two columns", "invoice", "lists", "plain table"):
    SHEETS[f"{name}, scanned"] = SHEETS[name]
SCANNED = {name for name in SHEETS if name.endswith(", scanned")}


STATEMENT = Sheet(
    top=(
        Words("Statement of harbour dues", "title"),
        Pairs(("Port of Westerhaven, Office of the Harbour Master", "Quay Street 2, 8031 Westerhaven")),
        Words(
            "For the motor vessel Margarethe II, berth 14, in the second quarter of 2026. Dues are reckoned by the "
            "length over all and by the nights in port; the night of arrival counts, that of departure does not."
        ),
        Grid(
            (
                ("Date", "Description", "Nights", "Rate", "Amount"),
                ("02.04.2026", "Berth, 9.40 m", "5", "18.80", "94.00"),
                ("17.04.2026", "Berth, 9.40 m", "2", "18.80", "37.60"),
                ("17.04.2026", "Fresh water, 300 litres", "", "0.02", "6.00"),
                ("08.05.2026", "Berth, 9.40 m", "11", "17.20", "189.20"),
                ("19.05.2026", "Shore power, 42 kWh", "", "0.38", "15.96"),
                ("06.06.2026", "Crane, half an hour", "", "", "64.50"),
                ("", "", "", "Total EUR", "407.26"),
            ),
            (2, 4, 1.2, 1.7, 1.7),
            right=(2, 3, 4),
            leading=1.35,
        ),
        Words("How to pay", "heading"),
        Items(
            (
                "By transfer within 14 days, with the number of the berth as the reason for payment.",
                "In cash at the office, on weekdays from 8:00 to 12:00.",
            )
        ),
        Words(
            "The rates are those of the tariff of 1 January 2026, as published in the journal of the province, "
            "no. 214. A stay of more than ten nights is charged at the weekly rate. Objections are to be made in "
            "writing within one month of receipt. Boats whose dues are unpaid for three months may be moved at "
            "the owner's cost. Registered under number 7781; VAT is included at 19% where it applies.",
            "note",
        ),
    ),
    head=("Port of Westerhaven", "1 / 1"),
    page=(1240, 980),
    size=23,
)


def main() -> None:
    if len(sys.argv) == 1:
        examples = Path(__file__).resolve().parent.parent.parent / "examples"
        scanned(draw(STATEMENT), degrees=0.6, grain=4).save(examples / "statement.jpg", quality=60)
        (examples / "statement.md").write_text(markdown(STATEMENT), encoding="utf-8")
        return
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, sheet in SHEETS.items():
        image = scanned(draw(sheet)) if name in SCANNED else draw(sheet)
        image.save(folder / f"{name}.png", optimize=True)
        (folder / f"{name}.md").write_text(markdown(sheet), encoding="utf-8")


if __name__ == "__main__":
    main()
