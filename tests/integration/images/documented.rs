//! docs/images.md names what the images have.

/// The page, and the lists that the images are made from.
const PAGE: &str = include_str!("../../../docs/images.md");
const LISTS: [(&str, &str); 2] = [
    ("tools", include_str!("../../../images/tools/packages")),
    ("data", include_str!("../../../images/data/packages")),
];

/// The table of an image, as `scripts/write-image-tables` writes it.
fn table(image: &str) -> &'static str {
    let begin = format!("<!-- {image}: scripts/write-image-tables -->");
    let end = format!("<!-- end of {image} -->");
    let (_, rest) = PAGE.split_once(&begin).expect("its begin");
    rest.split_once(&end).expect("its end").0
}

#[test]
fn the_tables_have_exactly_the_packages_of_the_lists_each_with_a_version() {
    for (image, list) in LISTS {
        let lines = list
            .lines()
            .map(|line| line.split('#').next().unwrap_or(""));
        let mut wanted: Vec<&str> = lines
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect();
        let cells = table(image)
            .lines()
            .filter_map(|line| line.strip_suffix(" |")?.rsplit_once(" | "));
        let packages = cells.flat_map(|(_, cell)| cell.split(", "));
        let mut found: Vec<&str> = packages
            .filter_map(|package| {
                let (name, version) = package.split_once(' ')?;
                version
                    .starts_with(|char: char| char.is_ascii_digit())
                    .then_some(name)
            })
            .collect();
        wanted.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, wanted, "run scripts/write-image-tables");
    }
}
