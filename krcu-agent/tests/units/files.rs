//! What is read from the kernel's text files.

use krcu_agent::kernel::files::*;

#[test]
fn symbols_of_the_kernel_are_counted_and_those_of_modules_are_not() {
    let text = "0000000000000000 A fixed_percpu_data\n\
                    ffffffff81000000 T _text\n\
                    ffffffff81000010 t twice\n\
                    ffffffff81000020 t twice\n\
                    ffffffffc0000000 t _text\t[some_module]\n";
    let symbols = symbols(text, &["_text", "twice", "absent"]);
    assert!(!symbols.hidden);
    assert_eq!(symbols.found["_text"], (1, 0xffff_ffff_8100_0000));
    assert_eq!(symbols.found["twice"], (2, 0xffff_ffff_8100_0020));
    assert_eq!(symbols.found["absent"], (0, 0));
}

#[test]
fn addresses_that_are_all_zero_are_hidden() {
    assert!(symbols("0000000000000000 T _text\n0000000000000000 T _etext\n", &[]).hidden);
}

#[test]
fn a_traceable_function_is_one_listed_without_a_module() {
    let listed = traceable("kvfree\nrcu_barrier\nhelper [a_module]\n", &["kvfree", "helper", "absent"]);
    assert_eq!((listed["kvfree"], listed["helper"], listed["absent"]), (true, false, false));
}

#[test]
fn lists_end_after_their_last_number() {
    assert_eq!(end_of_list("0-3\n"), Some(4));
    assert_eq!(end_of_list("0,2-7,12\n"), Some(13));
    assert_eq!(end_of_list("0\n"), Some(1));
    assert_eq!(end_of_list("\n"), None);
    assert_eq!(end_of_list("4294967295"), None);
}

#[test]
fn status_and_lockdown_are_read() {
    assert_eq!(effective_capabilities("Name:\tx\nCapEff:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
    assert_eq!(effective_capabilities("Name:\tx\n"), None);
    assert_eq!(chosen("none [integrity] confidentiality\n"), Some("integrity"));
    assert_eq!(chosen("none integrity"), None);
}

#[test]
fn the_size_of_a_page_is_a_word_of_the_auxiliary_vector() {
    let vector = |words: &[u64]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
    // AT_HWCAP with the value 6, AT_PAGESZ, AT_CLKTCK, the end.
    let words = [16, 6, 6, 16384, 17, 100, 0, 0];
    assert_eq!(page_size(&vector(&words)), Some(16384));
    assert_eq!(page_size(&vector(&words[..3])), None, "its value is cut off");
    assert_eq!(page_size(&vector(&[17, 6, 0, 0])), None);
    assert_eq!(page_size(&[]), None);
}
