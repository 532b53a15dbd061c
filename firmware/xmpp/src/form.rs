//! XEP-0004: data forms. Reading one that was submitted, and writing one to fill in or with results. Which
//! fields a form has, and what their values mean, is for whoever asks.

use crate::{
    Element, StanzaError, compose,
    limits::{FORM_FIELDS_MAX, FORM_VALUES_MAX},
};

/// The namespace.
pub const NS: &str = "jabber:x:data";

/// What somebody submitted (§3.1): fields with their values, in order, each field once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Form {
    fields: Vec<(String, Vec<String>)>,
}

impl Form {
    /// Reads `<x type='submit'/>`. `bad-request` where it is another element or another type of form, a
    /// field has no name or comes twice (§3.2 wants `var` unique), or there are more than
    /// [`FORM_FIELDS_MAX`] fields or [`FORM_VALUES_MAX`] values.
    pub fn submitted(x: &Element) -> Result<Form, StanzaError> {
        if !x.is(NS, "x") || x.attr("type") != Some("submit") {
            return Err(StanzaError::BAD_REQUEST);
        }
        let mut form = Form::default();
        let mut values_left = FORM_VALUES_MAX;
        for field in x.elements().filter(|child| child.is(NS, "field")) {
            let var = field.attr("var").filter(|var| !var.is_empty());
            let var = var.ok_or(StanzaError::BAD_REQUEST)?;
            if form.fields.len() == FORM_FIELDS_MAX || form.values(var).is_some() {
                return Err(StanzaError::BAD_REQUEST);
            }
            let values: Vec<String> = field
                .elements()
                .filter(|child| child.is(NS, "value"))
                .take(values_left + 1)
                .map(Element::text)
                .collect();
            values_left = values_left
                .checked_sub(values.len())
                .ok_or(StanzaError::BAD_REQUEST)?;
            form.fields.push((var.to_owned(), values));
        }
        Ok(form)
    }

    /// What kind of form it is (XEP-0068 §3): the one value of `FORM_TYPE`.
    pub fn form_type(&self) -> Option<&str> {
        match self.values("FORM_TYPE") {
            Some([form_type]) => Some(form_type),
            _ => None,
        }
    }

    /// Every field but `FORM_TYPE`, with its values.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[String])> {
        let fields = self.fields.iter();
        fields
            .filter(|(var, _)| var != "FORM_TYPE")
            .map(|(var, values)| (var.as_str(), values.as_slice()))
    }

    /// The values of a field; `None` where it is not there.
    pub fn values(&self, var: &str) -> Option<&[String]> {
        let mut fields = self.fields.iter();
        let (_, values) = fields.find(|(known, _)| known == var)?;
        Some(values)
    }
}

/// §3.3: what a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    Boolean,
    Hidden,
    JidMulti,
    JidSingle,
    ListMulti,
    ListSingle,
    TextMulti,
    TextPrivate,
    TextSingle,
}

impl FieldType {
    fn name(self) -> &'static str {
        match self {
            FieldType::Boolean => "boolean",
            FieldType::Hidden => "hidden",
            FieldType::JidMulti => "jid-multi",
            FieldType::JidSingle => "jid-single",
            FieldType::ListMulti => "list-multi",
            FieldType::ListSingle => "list-single",
            FieldType::TextMulti => "text-multi",
            FieldType::TextPrivate => "text-private",
            FieldType::TextSingle => "text-single",
        }
    }
}

/// A form that is being written.
#[derive(Debug)]
pub struct Writer {
    out: String,
}

impl Writer {
    /// A form to fill in (§3.1 `form`), of this kind (XEP-0068).
    pub fn form(form_type: &str) -> Writer {
        Writer::new("form", form_type)
    }

    /// A form of results (§3.1 `result`), of this kind.
    pub fn result(form_type: &str) -> Writer {
        Writer::new("result", form_type)
    }

    /// A form that is filled in (§3.1 `submit`), of this kind.
    pub fn submit(form_type: &str) -> Writer {
        Writer::new("submit", form_type)
    }

    /// A form to fill in that says what it is, and what to do with it.
    pub fn titled(form_type: &str, title: &str, instructions: &str) -> Writer {
        let mut out = format!("<x xmlns='{NS}' type='form'>");
        for (name, text) in [("title", title), ("instructions", instructions)] {
            let mut content = String::new();
            compose::escape(&mut content, text);
            out.push_str(&format!("<{name}>{content}</{name}>"));
        }
        Writer { out }.field(FieldType::Hidden, "FORM_TYPE", &[form_type])
    }

    fn new(type_: &str, form_type: &str) -> Writer {
        let out = format!("<x xmlns='{NS}' type='{type_}'>");
        Writer { out }.field(FieldType::Hidden, "FORM_TYPE", &[form_type])
    }

    /// One more field as a person fills it in: what it is for, and what there is to choose (§3.2).
    pub fn labelled(
        self,
        (type_, var, label): (FieldType, &str, &str),
        choice: &[&str],
        values: &[&str],
    ) -> Writer {
        let mut options = String::new();
        for option in choice {
            options.push_str("<option><value>");
            compose::escape(&mut options, option);
            options.push_str("</value></option>");
        }
        self.write(type_, var, label, values, &options)
    }

    /// One more field that has to be filled in, and what there is to choose: values, and what each is called.
    pub fn required(self, field: (FieldType, &str, &str), choice: &[(&str, &str)]) -> Writer {
        let (type_, var, label) = field;
        let mut further = String::from("<required/>");
        for (value, name) in choice {
            further.push_str("<option");
            compose::attribute(&mut further, "label", name);
            further.push_str("><value>");
            compose::escape(&mut further, value);
            further.push_str("</value></option>");
        }
        self.write(type_, var, label, &[], &further)
    }

    /// One more field with these values.
    pub fn field(self, type_: FieldType, var: &str, values: &[&str]) -> Writer {
        self.field_with(type_, var, values, "")
    }

    /// One more field, with `further` elements inside: XML with its namespaces.
    pub fn field_with(self, type_: FieldType, var: &str, values: &[&str], further: &str) -> Writer {
        self.write(type_, var, "", values, further)
    }

    fn write(
        mut self,
        type_: FieldType,
        var: &str,
        label: &str,
        values: &[&str],
        further: &str,
    ) -> Writer {
        let mut content = String::new();
        for value in values {
            content.push_str("<value>");
            compose::escape(&mut content, value);
            content.push_str("</value>");
        }
        content.push_str(further);
        self.out.push_str("<field");
        compose::attribute(&mut self.out, "type", type_.name());
        compose::attribute(&mut self.out, "var", var);
        if !label.is_empty() {
            compose::attribute(&mut self.out, "label", label);
        }
        compose::content(&mut self.out, "field", &content);
        self
    }

    /// The form as XML.
    pub fn finish(self) -> String {
        self.out + "</x>"
    }
}

/// Results of one kind (§3.4): what they are called, the fields of each, and the values of those.
pub fn table<'a>(
    title: &str,
    vars: &[&str],
    rows: impl IntoIterator<Item = Vec<&'a str>>,
) -> String {
    let mut out = format!("<x xmlns='{NS}' type='result'><title>");
    compose::escape(&mut out, title);
    out.push_str("</title><reported>");
    for var in vars {
        out.push_str("<field");
        compose::attribute(&mut out, "var", var);
        out.push_str("/>");
    }
    out.push_str("</reported>");
    for row in rows {
        out.push_str("<item>");
        for (var, value) in vars.iter().zip(row) {
            out.push_str("<field");
            compose::attribute(&mut out, "var", var);
            out.push_str("><value>");
            compose::escape(&mut out, value);
            out.push_str("</value></field>");
        }
        out.push_str("</item>");
    }
    out + "</x>"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields as `var=value,value`; the condition of the refusal otherwise.
    fn read(x: &str) -> String {
        let form = Form::submitted(&Element::parse(x, "jabber:client").unwrap());
        let shown = |form: Form| {
            let fields = form.fields.iter();
            fields
                .map(|(var, values)| format!("{var}={}", values.join(",")))
                .collect::<Vec<_>>()
                .join(" ")
        };
        form.map_or_else(|error| error.condition.to_owned(), shown)
    }

    fn submit(fields: &str) -> String {
        read(&format!("<x xmlns='{NS}' type='submit'>{fields}</x>"))
    }

    #[test]
    fn what_is_submitted_is_read() {
        let rows = [
            ("", ""),
            ("<field var='a'><value>1</value></field>", "a=1"),
            (
                "<title>t</title><field var='a' type='list-multi'><value>1</value><value>2</value></field>",
                "a=1,2",
            ),
            ("<field var='a'/><field var='b'><value/></field>", "a= b="),
            ("<field var='a'><value>&lt;</value></field>", "a=<"),
            ("<field xmlns='other' var='a'/>", ""),
            ("<field><value>1</value></field>", "bad-request"),
            ("<field var=''/>", "bad-request"),
            ("<field var='a'/><field var='a'/>", "bad-request"),
        ];
        for (fields, expected) in rows {
            assert_eq!(submit(fields), expected, "{fields}");
        }
        assert_eq!(
            read("<x xmlns='jabber:x:data' type='form'/>"),
            "bad-request"
        );
        assert_eq!(read("<x xmlns='jabber:x:data'/>"), "bad-request");
        assert_eq!(read("<x xmlns='other' type='submit'/>"), "bad-request");
    }

    #[test]
    fn a_form_has_limits() {
        let fields = |n: usize| {
            let fields: Vec<String> = (0..n).map(|n| format!("<field var='f{n}'/>")).collect();
            fields.concat()
        };
        assert_ne!(submit(&fields(FORM_FIELDS_MAX)), "bad-request");
        assert_eq!(submit(&fields(FORM_FIELDS_MAX + 1)), "bad-request");
        let values = |n: usize| format!("<field var='a'>{}</field>", "<value/>".repeat(n));
        assert_ne!(submit(&values(FORM_VALUES_MAX)), "bad-request");
        assert_eq!(submit(&values(FORM_VALUES_MAX + 1)), "bad-request");
    }

    #[test]
    fn the_form_type_is_one_value() {
        for (values, expected) in [("<value>k</value>", Some("k")), ("", None)] {
            let x = format!(
                "<x xmlns='{NS}' type='submit'><field var='FORM_TYPE'>{values}</field></x>"
            );
            let form = Form::submitted(&Element::parse(&x, "").unwrap()).unwrap();
            assert_eq!(form.form_type(), expected);
            assert_eq!(form.fields().count(), 0);
        }
    }

    #[test]
    fn forms_are_written() {
        let form = Writer::form("kind")
            .field(FieldType::TextSingle, "a", &["<1>", "2"])
            .field_with(FieldType::ListMulti, "b", &[], "<open xmlns='x'/>")
            .labelled((FieldType::ListSingle, "c", "C & D"), &["1", "2"], &["2"])
            .finish();
        assert_eq!(
            form,
            "<x xmlns='jabber:x:data' type='form'>\
             <field type='hidden' var='FORM_TYPE'><value>kind</value></field>\
             <field type='text-single' var='a'><value>&lt;1&gt;</value><value>2</value></field>\
             <field type='list-multi' var='b'><open xmlns='x'/></field>\
             <field type='list-single' var='c' label='C &amp; D'><value>2</value>\
             <option><value>1</value></option><option><value>2</value></option></field></x>"
        );
        let result = Writer::result("kind").field(FieldType::Boolean, "c", &["1"]);
        assert!(
            result
                .finish()
                .starts_with("<x xmlns='jabber:x:data' type='result'>")
        );
    }
}
