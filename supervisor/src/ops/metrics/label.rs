//! Labels, whose values come from closed lists.

use std::marker::PhantomData;

use cc_events::{EndReason, Verdict};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::ops::metrics::register::add;

/// What can stand in a label: every value is known in advance.
pub(crate) trait Label: Copy + 'static {
    /// The label's name.
    const NAME: &'static str;
    const ALL: &'static [Self];

    fn value(self) -> &'static str;
}

impl Label for EndReason {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &Self::ALL;

    fn value(self) -> &'static str {
        self.as_str()
    }
}

impl Label for Verdict {
    const NAME: &'static str = "verdict";
    const ALL: &'static [Self] = &Self::ALL;

    fn value(self) -> &'static str {
        self.as_str()
    }
}

/// A [`Label`] and its values: `labels!(Cause, "cause", { Places => "places", … })`.
macro_rules! label {
    ($(#[$doc:meta])* $kind:ident, $name:literal, { $($(#[$item:meta])* $variant:ident => $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $kind {
            $($(#[$item])* $variant,)+
        }

        impl $crate::ops::metrics::label::Label for $kind {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn value(self) -> &'static str {
                match self {
                    $(Self::$variant => $value,)+
                }
            }
        }
    };
}
pub(crate) use label;

type Pair = (&'static str, &'static str);

fn pair<L: Label>(label: L) -> Pair {
    (L::NAME, label.value())
}

/// A counter for each value of a label. All are on the page from the start, at zero.
#[derive(Debug)]
pub(crate) struct CounterBy<L> {
    family: Family<[Pair; 1], Counter>,
    label: PhantomData<L>,
}

impl<L: Label> CounterBy<L> {
    pub(super) fn add(registry: &mut Registry, name: &str, help: &str) -> Self {
        let family: Family<[Pair; 1], Counter> = add(registry, name, help);
        for label in L::ALL {
            drop(family.get_or_create(&[pair(*label)]));
        }
        Self { family, label: PhantomData }
    }

    pub(crate) fn increase(&self, label: L) {
        self.increase_by(label, 1);
    }

    pub(crate) fn increase_by(&self, label: L, count: u64) {
        self.family.get_or_create(&[pair(label)]).inc_by(count);
    }
}

/// A counter for each pair of the values of two labels. A pair is on the page once it has occurred.
#[derive(Debug)]
pub(crate) struct CounterByTwo<L, M> {
    family: Family<[Pair; 2], Counter>,
    labels: PhantomData<(L, M)>,
}

impl<L: Label, M: Label> CounterByTwo<L, M> {
    pub(super) fn add(registry: &mut Registry, name: &str, help: &str) -> Self {
        Self { family: add(registry, name, help), labels: PhantomData }
    }

    pub(crate) fn increase(&self, first: L, second: M) {
        self.family.get_or_create(&[pair(first), pair(second)]).inc();
    }
}

/// A gauge for each value of a label.
#[derive(Debug)]
pub(crate) struct GaugeBy<L> {
    family: Family<[Pair; 1], Gauge>,
    label: PhantomData<L>,
}

impl<L: Label> GaugeBy<L> {
    pub(super) fn add(registry: &mut Registry, name: &str, help: &str) -> Self {
        let family: Family<[Pair; 1], Gauge> = add(registry, name, help);
        for label in L::ALL {
            drop(family.get_or_create(&[pair(*label)]));
        }
        Self { family, label: PhantomData }
    }

    pub(crate) fn set(&self, label: L, value: usize) {
        self.family.get_or_create(&[pair(label)]).set(i64::try_from(value).unwrap_or(i64::MAX));
    }
}
