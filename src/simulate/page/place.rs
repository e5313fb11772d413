//! Places for labels next to their dots, where they cover neither each other nor another dot.

/// A rectangle, in the units of the drawing; y goes down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Area {
    fn touches(&self, other: &Area) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn holds(&self, other: &Area) -> bool {
        self.left <= other.left
            && other.right <= self.right
            && self.top <= other.top
            && other.bottom <= self.bottom
    }
}

/// A dot, and what is to be written beside it.
pub(super) struct Spot {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) text: String,
    /// It is written though it covers something. Others are left out then.
    pub(super) must: bool,
}

/// Where a text begins, has its middle or ends, and on which line it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Label {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) anchor: &'static str,
}

/// Of one character, about, at the size that labels have; and of a line above and below its letters' foot.
const WIDTH: f64 = 6.6;
const ABOVE: f64 = 10.0;
const BELOW: f64 = 3.0;
/// Half the width of a dot.
const DOT: f64 = 5.0;

/// From a dot to its label, in the order in which they are tried.
const WAYS: [(f64, f64, &str); 8] = [
    (9.0, 4.0, "start"),
    (-9.0, 4.0, "end"),
    (0.0, -9.0, "middle"),
    (0.0, 18.0, "middle"),
    (7.0, -7.0, "start"),
    (7.0, 15.0, "start"),
    (-7.0, -7.0, "end"),
    (-7.0, 15.0, "end"),
];

/// A place for each, or none. Those before choose first. `taken` is left free; `frame` holds them all.
pub(super) fn place(spots: &[Spot], mut taken: Vec<Area>, frame: &Area) -> Vec<Option<Label>> {
    taken.extend(spots.iter().map(dot));
    let mut labels = Vec::with_capacity(spots.len());
    for spot in spots {
        let tries = WAYS.map(|(x, y, anchor)| Label { x: spot.x + x, y: spot.y + y, anchor });
        let inside = || tries.iter().filter(|label| frame.holds(&area(label, &spot.text)));
        let free = inside().find(|label| !taken.iter().any(|other| other.touches(&area(label, &spot.text))));
        let forced = || inside().next().filter(|_| spot.must);
        let label = free.or_else(forced).copied();
        taken.extend(label.map(|label| area(&label, &spot.text)));
        labels.push(label);
    }
    labels
}

fn dot(spot: &Spot) -> Area {
    Area { left: spot.x - DOT, top: spot.y - DOT, right: spot.x + DOT, bottom: spot.y + DOT }
}

fn area(label: &Label, text: &str) -> Area {
    let width = text.chars().count() as f64 * WIDTH;
    let left = match label.anchor {
        "start" => label.x,
        "end" => label.x - width,
        _ => label.x - width / 2.0,
    };
    Area { left, top: label.y - ABOVE, right: left + width, bottom: label.y + BELOW }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Area = Area { left: 0.0, top: 0.0, right: 200.0, bottom: 100.0 };

    fn spot(x: f64, y: f64, must: bool) -> Spot {
        Spot { x, y, text: "kaos".to_owned(), must }
    }

    #[test]
    fn labels_cover_neither_each_other_nor_dots() {
        let spots = [spot(50.0, 50.0, true), spot(62.0, 50.0, true), spot(56.0, 60.0, false)];
        let labels = place(&spots, Vec::new(), &FRAME);
        let areas: Vec<Area> = labels
            .iter()
            .zip(&spots)
            .filter_map(|(label, spot)| Some(area(label.as_ref()?, &spot.text)))
            .collect();
        assert_eq!(areas.len(), 3);
        for (at, one) in areas.iter().enumerate() {
            assert!(FRAME.holds(one));
            assert!(areas.iter().skip(at + 1).all(|other| !one.touches(other)), "{areas:?}");
            assert!(spots.iter().all(|spot| !one.touches(&dot(spot))), "{areas:?}");
        }
    }

    #[test]
    fn where_no_place_is_free_only_what_must_is_written() {
        let labels = place(&[spot(50.0, 50.0, false), spot(50.0, 50.0, true)], vec![FRAME], &FRAME);
        assert_eq!(labels.first(), Some(&None));
        assert!(labels.last().is_some_and(Option::is_some));
    }

    #[test]
    fn at_the_right_edge_it_stands_on_the_left() {
        let labels = place(&[spot(195.0, 50.0, true)], Vec::new(), &FRAME);
        assert_eq!(labels.first(), Some(&Some(Label { x: 186.0, y: 54.0, anchor: "end" })));
    }
}
