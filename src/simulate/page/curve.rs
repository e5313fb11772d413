//! The drawing of what cold requests cost: each policy a dot, each knob that trades one for the other a line.

use std::fmt::Write;

use kaos_simulate::replay::Figures;

use super::axis::Axis;
use super::place::{Area, Label, Spot, place};
use super::say::{bare, clip, count, decimal, escape, hours, name, short};
use super::style::colour;
use crate::simulate::{Curve, Point, Ran};

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 440.0;
/// What the axes enclose.
const PLOT: Area = Area { left: 64.0, top: 32.0, right: 980.0, bottom: 396.0 };
/// Characters of a label.
const LONGEST: usize = 24;

struct Plot {
    x: Axis,
    y: Axis,
}

impl Plot {
    fn new(points: &[&Point]) -> Self {
        let hours: Vec<f64> = points.iter().map(|point| point.replica_hours).collect();
        let cold: Vec<f64> = points.iter().map(|point| point.cold_requests as f64).collect();
        Plot { x: Axis::new(&hours, false), y: Axis::new(&cold, true) }
    }

    fn x(&self, hours: f64) -> f64 {
        PLOT.left + self.x.place(hours) * (PLOT.right - PLOT.left)
    }

    fn y(&self, cold: f64) -> f64 {
        PLOT.bottom - self.y.place(cold) * (PLOT.bottom - PLOT.top)
    }

    fn at(&self, point: &Point) -> (f64, f64) {
        (self.x(point.replica_hours), self.y(point.cold_requests as f64))
    }
}

/// The drawing, and what it says in words.
pub(super) fn figure(ran: &[Ran], curves: &[Curve]) -> String {
    let policies: Vec<Point> = ran.iter().map(|ran| point(ran.choice.to_string(), &ran.total)).collect();
    let all: Vec<&Point> = policies
        .iter()
        .chain(curves.iter().flat_map(|curve| &curve.points))
        .filter(|one| is_sound(one))
        .collect();
    if all.is_empty() {
        return "<p class=\"quiet\">There is nothing to draw.</p>\n".to_owned();
    }
    let plot = Plot::new(&all);
    let mut out = String::from(
        "<figure>\n<figcaption>\n<p>Lower left is better: fewer cold requests for less replica time.",
    );
    if !curves.is_empty() {
        out.push_str(
            " A line is what one policy can be set to; what lies below it and left of it does better.",
        );
    }
    out.push_str("</p>\n");
    keys(&mut out, ran, curves);
    // Writing to a String can't fail.
    let _ = writeln!(
        out,
        "</figcaption>\n<div class=\"wide\"><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Cold requests against replica hours\">"
    );
    axes(&mut out, &plot);
    for (at, curve) in curves.iter().enumerate() {
        line(&mut out, &plot, curve, &kin(curve, ran), dash(at, curves, ran));
    }
    // The first one is drawn last, over others that are in the same place.
    for (at, policy) in policies.iter().enumerate().rev().filter(|(_, policy)| is_sound(policy)) {
        dot(&mut out, &plot, policy, 5.5, &format!("dot policy {}", colour(at)), "");
    }
    labels(&mut out, &plot, &policies, curves);
    out.push_str("</svg></div>\n</figure>\n");
    out
}

fn point(label: String, total: &Figures) -> Point {
    Point { label, cold_requests: total.cold_requests, replica_hours: hours(total.replica_time()) }
}

fn is_sound(point: &Point) -> bool {
    point.replica_hours.is_finite() && point.replica_hours >= 0.0
}

/// What the lines are.
fn keys(out: &mut String, ran: &[Ran], curves: &[Curve]) {
    if curves.is_empty() {
        return;
    }
    out.push_str("<ul class=\"keys\">\n");
    for (at, curve) in curves.iter().enumerate() {
        let (colour, dash, name) = (kin(curve, ran), dash(at, curves, ran), name(&curve.name));
        let _ = writeln!(out, "<li><span class=\"key line{dash} {colour}\"></span>{name}</li>");
    }
    out.push_str("</ul>\n");
}

/// Lines of one colour are told apart.
fn dash(at: usize, curves: &[Curve], ran: &[Ran]) -> &'static str {
    let colour = curves.get(at).map(|curve| kin(curve, ran));
    let is_taken = curves.iter().take(at).any(|before| Some(kin(before, ran)) == colour);
    if is_taken { " dash" } else { "" }
}

/// The colour of a policy of the same kind, which lies on the line or beside it.
fn kin(curve: &Curve, ran: &[Ran]) -> String {
    let kind = |name: &str| name.split([':', ',', ' ']).next().map(str::to_owned);
    let same = ran.iter().position(|ran| kind(&ran.choice.to_string()) == kind(&curve.name));
    same.map_or_else(|| "other".to_owned(), colour)
}

fn axes(out: &mut String, plot: &Plot) {
    let Area { left, top, right, bottom } = PLOT;
    for tick in plot.x.ticks() {
        let (x, text) = (plot.x(tick), short(tick));
        let _ = writeln!(
            out,
            "<path class=\"grid\" d=\"M{x:.1} {top}V{bottom}\"/>\
             <text class=\"quiet\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
            bottom + 17.0
        );
    }
    for tick in plot.y.ticks() {
        let (y, text) = (plot.y(tick), short(tick));
        let _ = writeln!(
            out,
            "<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/>\
             <text class=\"quiet\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
            left - 8.0,
            y + 4.0
        );
    }
    let scale = |axis: &Axis| match (axis.is_log, axis.has_zero) {
        (true, true) => ", logarithmic above 0",
        (true, false) => ", logarithmic",
        (false, _) => "",
    };
    let _ = writeln!(
        out,
        "<text x=\"0\" y=\"14\">cold requests{}</text>\
         <text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">replica hours{}</text>\
         <text class=\"quiet halo\" x=\"{:.1}\" y=\"{:.1}\">↙ better</text>",
        scale(&plot.y),
        bottom + 36.0,
        scale(&plot.x),
        left + 8.0,
        bottom - 8.0,
    );
}

/// A curve, with a small dot at each setting.
fn line(out: &mut String, plot: &Plot, curve: &Curve, colour: &str, dash: &str) {
    let _ = write!(out, "<g class=\"{colour}\"><path class=\"line{dash}\" d=\"");
    let sound = || curve.points.iter().filter(|point| is_sound(point));
    for (at, point) in sound().enumerate() {
        let (x, y) = plot.at(point);
        let _ = write!(out, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
    }
    out.push_str("\"/>\n");
    let whose = format!("{}: ", bare(&curve.name));
    for point in sound() {
        dot(out, plot, point, 2.8, "dot", &whose);
    }
    out.push_str("</g>\n");
}

/// A dot that says what it is when it is pointed at. `whose`: as HTML.
fn dot(out: &mut String, plot: &Plot, point: &Point, radius: f64, class: &str, whose: &str) {
    let (x, y) = plot.at(point);
    let _ = writeln!(
        out,
        "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"><title>{whose}{}: {} cold requests, {} \
         replica hours</title></circle>",
        bare(&point.label),
        count(point.cold_requests),
        decimal(point.replica_hours, 1),
    );
}

/// Policies first: a setting without a label still says what it is when it is pointed at.
fn labels(out: &mut String, plot: &Plot, policies: &[Point], curves: &[Curve]) {
    let settings = curves.iter().flat_map(|curve| &curve.points).map(|point| (point, false));
    let all = policies.iter().map(|point| (point, true)).chain(settings);
    let spot = |(point, must): (&Point, bool)| {
        let (x, y) = plot.at(point);
        Spot { x, y, text: clip(&point.label, LONGEST), must }
    };
    let spots: Vec<Spot> = all.filter(|(point, _)| is_sound(point)).map(spot).collect();
    let better =
        Area { left: PLOT.left, top: PLOT.bottom - 22.0, right: PLOT.left + 64.0, bottom: PLOT.bottom };
    let frame = Area { left: PLOT.left + 1.0, right: WIDTH, ..PLOT };
    for (spot, label) in spots.iter().zip(place(&spots, vec![better], &frame)) {
        let Some(Label { x, y, anchor }) = label else { continue };
        let class = if spot.must { "halo" } else { "halo quiet" };
        let _ = writeln!(
            out,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
            escape(&spot.text)
        );
    }
}

#[cfg(test)]
mod tests {
    use kaos_simulate::replay::Choice;

    use super::*;

    fn curve(name: &str, points: &[(u64, f64)]) -> Curve {
        let point = |(at, (cold_requests, replica_hours)): (usize, &(u64, f64))| Point {
            label: format!("{at}s"),
            cold_requests: *cold_requests,
            replica_hours: *replica_hours,
        };
        Curve { name: name.to_owned(), points: points.iter().enumerate().map(point).collect() }
    }

    fn ran(choice: Choice) -> Ran {
        Ran { choice, outcomes: Vec::new(), total: Figures::default() }
    }

    #[test]
    fn the_scale_follows_the_range() {
        let near = curve("fixed", &[(100, 10.0), (50, 20.0)]);
        assert!(!figure(&[], &[near]).contains("logarithmic"));
        let far = figure(&[], &[curve("fixed", &[(1000, 10.0), (50, 20.0)])]);
        assert!(far.contains("cold requests, logarithmic") && !far.contains("hours, logarithmic"), "{far}");
    }

    #[test]
    fn a_line_has_the_colour_of_the_policy_of_its_kind() {
        let ran = [ran(Choice::Kaos), ran(Choice::Fixed(std::time::Duration::from_secs(300)))];
        assert_eq!(kin(&curve("fixed, by timeout", &[]), &ran), colour(1));
        assert_eq!(kin(&curve("kaos with learned, by cold-start-cost", &[]), &ran), colour(0));
        assert_eq!(kin(&curve("kpa", &[]), &ran), "other");
    }

    #[test]
    fn lines_of_one_colour_are_told_apart() {
        let curves = [curve("fixed, by timeout", &[]), curve("kpa", &[]), curve("other", &[])];
        let ran = [ran(Choice::Kpa)];
        assert_eq!([0, 1, 2].map(|at| dash(at, &curves, &ran)), ["", "", " dash"]);
    }

    #[test]
    fn more_is_further_up_and_right() {
        let points = curve("fixed", &[(1000, 10.0), (50, 200.0)]).points;
        let plot = Plot::new(&points.iter().collect::<Vec<_>>());
        let places: Vec<_> = points.iter().map(|point| plot.at(point)).collect();
        assert!(matches!(places[..], [(x1, y1), (x2, y2)] if x1 < x2 && y1 < y2), "{places:?}");
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let odd = curve("fixed", &[(10, f64::NAN), (10, f64::INFINITY), (5, 2.0)]);
        let figure = figure(&[ran(Choice::Kaos)], &[odd]);
        assert!(!figure.contains("NaN") && !figure.contains("inf"), "{figure}");
        assert_eq!(figure.matches("<circle").count(), 2);
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert!(!figure(&[], &[]).contains("<svg"));
    }
}
