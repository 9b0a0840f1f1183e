//! Typed access to the system's dictionaries, whose keys are strings and whose values have any type.

use objc2_core_foundation::{CFBoolean, CFDictionary, CFNumber, CFRetained, CFString, CFType};

pub(super) fn flag(dictionary: &CFDictionary, key: &str) -> Option<bool> {
    Some(value(dictionary, key)?.downcast_ref::<CFBoolean>()?.as_bool())
}

pub(super) fn number(dictionary: &CFDictionary, key: &str) -> Option<f64> {
    value(dictionary, key)?.downcast_ref::<CFNumber>()?.as_f64()
}

pub(super) fn whole(dictionary: &CFDictionary, key: &str) -> Option<i64> {
    value(dictionary, key)?.downcast_ref::<CFNumber>()?.as_i64()
}

pub(super) fn text(dictionary: &CFDictionary, key: &str) -> Option<String> {
    Some(value(dictionary, key)?.downcast_ref::<CFString>()?.to_string())
}

#[expect(unsafe_code, reason = "the bindings leave the types of a dictionary open")]
pub(super) fn value(dictionary: &CFDictionary, key: &str) -> Option<CFRetained<CFType>> {
    // SAFETY: the system's dictionaries have strings as keys and objects as values.
    let dictionary = unsafe { dictionary.cast_unchecked::<CFString, CFType>() };
    dictionary.get(&CFString::from_str(key))
}
