//! Who is refused first when there is not enough for all. It refuses to know what there is not enough of.

use crate::model::Class;

/// From which grade of the gateway's own overload on the lowest class is refused.
pub const SHED: u8 = 2;

/// Whether a class is refused at a grade of overload. From the third on new connections are, and no other class.
#[inline]
#[must_use]
pub fn is_shed(class: Class, grade: u8) -> bool {
    grade >= SHED && class == Class::Low
}

/// Places of `all` that a class may fill, at least 1 of those there are. The highest class that there is, `top`, may fill
/// all of them; those below it leave a twentieth free, and the lowest a fifth.
#[inline]
#[must_use]
pub fn share(all: u32, class: Class, top: Class) -> u32 {
    let percent = match class {
        _ if class >= top => 100,
        Class::Low => 80,
        Class::Normal | Class::High => 95,
    };
    let part = u64::from(all) * percent / 100;
    u32::try_from(part).unwrap_or(all).max(all.min(1))
}

/// The rank of a class in a queue: 0 is served first.
#[inline]
#[must_use]
pub fn rank(class: Class) -> usize {
    match class {
        Class::High => 0,
        Class::Normal => 1,
        Class::Low => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_a_class_the_earlier_it_is_refused() {
        use Class::{High, Low, Normal};
        for (all, top, shares) in [
            (100, High, [80, 95, 100]),
            (100, Normal, [80, 100, 100]),
            (100, Low, [100, 100, 100]),
            (10, High, [8, 9, 10]),
            (1, High, [1, 1, 1]),
            (0, High, [0, 0, 0]),
            (u32::MAX, High, [3_435_973_836, 4_080_218_930, u32::MAX]),
        ] {
            assert_eq!([Low, Normal, High].map(|class| share(all, class, top)), shares, "{all} {top:?}");
        }
        let mut ranks = [Low, Normal, High].map(rank);
        ranks.reverse();
        assert_eq!(ranks, [0, 1, 2]);
    }

    #[test]
    fn only_the_lowest_is_shed_and_only_from_the_second_grade_on() {
        for grade in 0..=3 {
            assert_eq!(is_shed(Class::Low, grade), grade >= 2);
            assert!(!is_shed(Class::Normal, grade) && !is_shed(Class::High, grade));
        }
    }
}
