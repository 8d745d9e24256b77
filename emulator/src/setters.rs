//! The setters of options with public fields. Knows none of the options.

/// A setter for each of these fields. `into` takes whatever becomes a value of the type.
macro_rules! setters {
    ($type:ty { $($field:ident: $value:ty),* $(,)? } into { $($text:ident: $into:ty),* $(,)? }) => {
        impl $type {
            $(
                #[doc = concat!("Sets `", stringify!($field), "`: see the [field](#structfield.", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, $field: $value) -> Self {
                    self.$field = $field;
                    self
                }
            )*
            $(
                #[doc = concat!("Sets `", stringify!($text), "`: see the [field](#structfield.", stringify!($text), ").")]
                #[must_use]
                pub fn $text(mut self, $text: impl Into<$into>) -> Self {
                    self.$text = $text.into();
                    self
                }
            )*
        }
    };
}

pub(crate) use setters;
