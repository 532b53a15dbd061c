//! Fields of a configuration (XEP-0060 §16.4.4) by which nothing is wanted that there is not.

/// Registered fields that are not served, with the values by which nothing is wanted: there are clients that
/// send every field they know.
const MOOT: [(&str, &[&str]); 6] = [
    ("pubsub#presence_based_delivery", &["0", "false"]),
    ("pubsub#tempsub", &["0", "false"]),
    ("pubsub#collection", &[""]),
    ("pubsub#contact", &[""]),
    ("pubsub#body_xslt", &[""]),
    ("pubsub#dataform_xslt", &[""]),
];

/// Whether nothing is wanted by that field.
pub(super) fn is_moot(var: &str, values: &[String]) -> bool {
    let known = MOOT.iter().find(|(known, _)| *known == var);
    known.is_some_and(|(_, moot)| values.iter().all(|value| moot.contains(&value.as_str())))
}
