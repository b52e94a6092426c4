//! Ids and texts of well-known tokenizers, and of the built-in model's, as the tokenizers crate and transformers have
//! them.

use crate::common::{Pair, built_in, phi2, qwen3, unpacked};
use serde_json::Value;
use wasmlx_text::{Detokenizer, Segment};

fn check_vectors(pair: &Pair, folder: &str) {
    let file = unpacked().unwrap().join("tokenizers").join(folder).join("vectors.json");
    let vectors: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let vectors = vectors["vectors"].as_array().unwrap();
    assert!(vectors.len() > 10);
    let ids_of = |value: &Value| -> Vec<u32> {
        value.as_array().unwrap().iter().map(|id| u32::try_from(id.as_u64().unwrap()).unwrap()).collect()
    };
    for vector in vectors {
        let text = vector["text"].as_str().unwrap();
        let ids = ids_of(&vector["ids"]);
        assert_eq!(pair.ours.encode_plain(text, true).unwrap(), ids, "{text:?}");
        let plain = ids_of(&vector["ids_no_special"]);
        assert_eq!(pair.ours.encode_plain(text, false).unwrap(), plain, "{text:?}");
        assert_eq!(pair.ours.encode(&[Segment::Trusted(text.to_owned())]).unwrap(), plain, "{text:?}");
        assert_eq!(pair.ours.decode(&ids, false).unwrap(), vector["decoded"].as_str().unwrap());
        assert_eq!(pair.ours.decode(&ids, true).unwrap(), vector["decoded_skip_special"].as_str().unwrap());
        let mut stream = Detokenizer::new(&pair.ours, true);
        ids.iter().for_each(|id| {
            stream.push(*id).unwrap();
        });
        stream.finish().unwrap();
        assert_eq!(stream.text(), vector["decoded_skip_special"].as_str().unwrap());
    }
}

#[test]
fn qwen3_gives_its_vectors() {
    let Some(pair) = qwen3() else { return };
    check_vectors(pair, "Qwen3");
    let ours = &pair.ours;
    assert_eq!(ours.special().eos.as_deref(), Some("<|im_end|>"));
    assert_eq!((ours.special().bos.as_deref(), ours.special().pad.as_deref()), (None, Some("<|endoftext|>")));
    assert_eq!(
        (ours.token_id("<think>"), ours.is_special(151_667), ours.is_special(151_645)),
        (Some(151_667), false, true)
    );
    assert_eq!((ours.vocab_size(), ours.added_tokens().len()), (151_669, 26));
    assert!(ours.chat_templates().choose(true).unwrap().contains("<|im_start|>"));
    assert_eq!(ours.token_text(9707).as_deref(), Some("Hello"));
    assert_eq!(ours.token_bytes(1879).as_deref(), Some(&b" world"[..]));
}

#[test]
fn phi2_gives_its_vectors() {
    let Some(pair) = phi2() else { return };
    check_vectors(pair, "phi-2");
    // Its added tokens of whitespace have ids beyond the vocabulary, and match in anyone's text.
    let spaces = Segment::Untrusted("a\n        b".to_owned());
    assert_eq!(pair.ours.encode(&[spaces]).unwrap(), pair.plain_ids("a\n        b"));
    assert!(pair.plain_ids("a\n        b").iter().any(|id| *id > 50_256));
}

#[test]
fn the_built_in_model_has_its_template_and_ids() {
    let Some(pair) = built_in() else { return };
    assert_eq!(pair.ours.vocab_size(), 8192);
    assert_eq!(pair.ours.special().eos.as_deref(), Some("<|im_end|>"));
    // chat_template.jinja lies beside a configuration without one.
    assert!(pair.ours.chat_templates().get("default").unwrap().contains("im_start"));
    let text = "<|im_start|>user\nWhat is the capital of Japan?<|im_end|>\n";
    assert_eq!(pair.ours.encode_plain(text, false).unwrap(), pair.plain_ids(text));
}
