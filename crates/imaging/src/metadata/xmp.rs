//! Selects the rights in an XMP packet (ISO 16684-1): everything else is left out, and what stays is
//! not changed.

const RDF: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
/// The properties about the author and the rights: their namespace and their names, all if there are
/// none.
const RIGHTS: &[(&str, &[&str])] = &[
    ("http://purl.org/dc/elements/1.1/", &["rights", "creator"]),
    ("http://ns.adobe.com/xap/1.0/rights/", &[]),
    (
        "http://ns.adobe.com/photoshop/1.0/",
        &["Credit", "Source", "AuthorsPosition"],
    ),
    ("http://ns.adobe.com/tiff/1.0/", &["Artist", "Copyright"]),
    (
        "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
        &["CreatorContactInfo"],
    ),
    ("http://ns.useplus.org/ldf/xmp/1.0/", &[]),
    ("http://creativecommons.org/ns#", &[]),
];
/// Elements inside of each other. Real packets have about ten.
const MAX_DEPTH: usize = 64;

/// A packet with the rights alone; `None` if there are none, or if the packet is not well formed.
pub(super) fn rights(packet: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(packet).ok()?;
    let mut filter = Filter::default();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        filter.text(&rest[..start]);
        rest = filter.markup(&rest[start..])?;
    }
    let is_closed = filter.open.is_empty();
    (filter.has_rights && is_closed).then(|| filter.kept.into_bytes())
}

/// What an open element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    /// Around the descriptions.
    Frame,
    /// `rdf:RDF`.
    Rdf,
    /// `rdf:Description`, whose attributes and children are properties.
    Description,
    /// A property that is kept, or a part of it.
    Kept,
    /// Another one.
    Dropped,
}

#[derive(Debug, Default)]
struct Filter<'a> {
    kept: String,
    has_rights: bool,
    /// The open elements.
    open: Vec<Element>,
    /// The prefixes that were declared, with their namespaces; the last declaration counts.
    prefixes: Vec<(&'a str, &'a str)>,
}

impl<'a> Filter<'a> {
    fn text(&mut self, text: &str) {
        match self.open.last() {
            Some(Element::Kept) => self.kept.push_str(text),
            Some(Element::Dropped) => {}
            // White space, with which editors pad a packet.
            _ if self.kept.is_empty() || self.kept.ends_with('\n') => {}
            _ => self.kept.push('\n'),
        }
    }

    /// Reads a tag, an instruction or a comment. Returns what follows it.
    fn markup(&mut self, text: &'a str) -> Option<&'a str> {
        if text.starts_with("<?") {
            let end = text.find("?>")? + 2;
            self.kept.push_str(&text[..end]);
            return Some(&text[end..]);
        }
        if text.starts_with("<!--") {
            return Some(&text[text.find("-->")? + 3..]);
        }
        if text.starts_with("</") {
            let end = text.find('>')? + 1;
            if self.open.pop()? != Element::Dropped {
                self.kept.push_str(&text[..end]);
            }
            return Some(&text[end..]);
        }
        // Neither document types nor character data are parts of a packet.
        if text.starts_with("<!") {
            return None;
        }
        self.start_tag(text)
    }

    fn start_tag(&mut self, text: &'a str) -> Option<&'a str> {
        let name_end = text.find(|c: char| c.is_whitespace() || c == '/' || c == '>')?;
        let name = &text[1..name_end];
        let (attributes, end, is_empty) = attributes(text, name_end)?;
        for (name, value, _) in &attributes {
            if let Some(prefix) = name.strip_prefix("xmlns:") {
                self.prefixes.push((prefix, value));
            }
        }
        let whole = &text[..end];
        let element = match self.open.last() {
            Some(Element::Kept) => Element::Kept,
            Some(Element::Dropped) => Element::Dropped,
            Some(Element::Description) if self.is_right(name) => {
                self.has_rights = true;
                Element::Kept
            }
            Some(Element::Description) => Element::Dropped,
            Some(Element::Rdf) if self.resolve(name) == Some((RDF, "Description")) => {
                Element::Description
            }
            Some(Element::Rdf) => Element::Dropped,
            _ if self.resolve(name) == Some((RDF, "RDF")) => Element::Rdf,
            _ => Element::Frame,
        };
        match element {
            Element::Dropped => {}
            Element::Description => {
                self.kept.push('<');
                self.kept.push_str(name);
                for (name, _, whole) in &attributes {
                    let is_right = self.is_right(name);
                    self.has_rights |= is_right;
                    let is_structure = name.starts_with("xmlns")
                        || self.resolve(name).is_some_and(|(n, _)| n == RDF);
                    if is_right || is_structure {
                        self.kept.push(' ');
                        self.kept.push_str(whole);
                    }
                }
                self.kept.push_str(if is_empty { "/>" } else { ">" });
            }
            _ => self.kept.push_str(whole),
        }
        if !is_empty {
            self.open.push(element);
        }
        (self.open.len() <= MAX_DEPTH).then_some(&text[end..])
    }

    /// The namespace and the local name.
    fn resolve(&self, name: &'a str) -> Option<(&'a str, &'a str)> {
        let (prefix, local) = name.split_once(':')?;
        let mut declared = self.prefixes.iter().rev();
        let (_, namespace) = declared.find(|(known, _)| *known == prefix)?;
        Some((namespace, local))
    }

    fn is_right(&self, name: &'a str) -> bool {
        self.resolve(name).is_some_and(|(namespace, local)| {
            let mut rights = RIGHTS.iter().filter(|(known, _)| *known == namespace);
            rights.any(|(_, names)| names.is_empty() || names.contains(&local))
        })
    }
}

/// An attribute: its name, its value, and all of it.
type Attribute<'a> = (&'a str, &'a str, &'a str);

/// Reads the attributes of a start tag from byte `at` on. Returns where the tag ends, and whether its
/// element is empty.
fn attributes(text: &str, mut at: usize) -> Option<(Vec<Attribute<'_>>, usize, bool)> {
    let mut found = Vec::new();
    loop {
        let rest = &text[at..];
        at += rest.len() - rest.trim_start().len();
        let rest = &text[at..];
        if rest.starts_with("/>") {
            return Some((found, at + 2, true));
        }
        if rest.starts_with('>') {
            return Some((found, at + 1, false));
        }
        let equals = rest.find('=')?;
        let name = rest[..equals].trim_end();
        let value = rest[equals + 1..].trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let value = &value[1..];
        let length = value.find(quote)?;
        // Both are parts of the same text.
        let end = rest.len() - value.len() + length + 1;
        if name.contains(['<', '>', '"', '\'']) {
            return None;
        }
        found.push((name, &value[..length], &rest[..end]));
        at += end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: &str = r#"<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:d="http://purl.org/dc/elements/1.1/"
 xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmpRights:Marked="True" xmp:CreatorTool = 'A > B' d:format="image/jpeg">
 <d:rights><rdf:Alt><rdf:li xml:lang="x-default">(c) Ann</rdf:li></rdf:Alt></d:rights>
 <!-- <d:creator/> --><xmp:Rating>5</xmp:Rating><d:title><rdf:Alt><rdf:li>T</rdf:li></rdf:Alt></d:title>
</rdf:Description></rdf:RDF></x:xmpmeta>     <?xpacket end="w"?>"#;

    #[test]
    fn rights_stay_and_the_rest_goes() {
        let kept = String::from_utf8(rights(PACKET.as_bytes()).unwrap()).unwrap();
        for there in [
            "Marked=\"True\"",
            "(c) Ann",
            "xmlns:d=",
            "rdf:about",
            "<?xpacket end",
        ] {
            assert!(kept.contains(there), "{there}: {kept}");
        }
        for gone in ["CreatorTool", "Rating", "<d:title", "format", ">T<", "<!--"] {
            assert!(!kept.contains(gone), "{gone}: {kept}");
        }
        let again = rights(kept.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(again).unwrap(), kept);
    }

    #[test]
    fn without_rights_nothing_stays() {
        let other = PACKET.replace("xap/1.0/rights/", "xap/1.0/mm/");
        let other = other.replace("d:rights", "d:subject");
        assert_eq!(rights(other.as_bytes()), None);
        // A prefix alone is not a namespace.
        let foreign = PACKET
            .replace("purl.org", "example.org")
            .replace("rights/", "x/");
        assert_eq!(rights(foreign.as_bytes()), None);
    }

    #[test]
    fn damage_is_no_harm() {
        for cut in 0..PACKET.len() {
            let _ = PACKET.get(..cut).map(|part| rights(part.as_bytes()));
        }
        let deep = PACKET.replace("<rdf:Alt>", &"<rdf:Alt>".repeat(100));
        assert_eq!(rights(deep.as_bytes()), None);
        assert_eq!(rights(b"<a b=\"<\">\xff"), None);
    }
}
