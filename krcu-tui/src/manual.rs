//! Manual: the manual page and the completions, made from the definition of the command line and the table of
//! keys.

use std::io;

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use crate::{
    cli::{Cli, Print},
    keys::{KEYS, Where},
};

/// The program's name, which `krcu tui` runs.
const NAME: &str = "krcu-tui";

/// The text.
///
/// # Errors
/// None: the text is in memory.
pub fn text(what: Print) -> io::Result<Vec<u8>> {
    let mut command = Cli::command().name(NAME).bin_name(NAME);
    let mut text = Vec::new();
    match what {
        Print::Man => page(command, &mut text)?,
        Print::Bash => generate(Shell::Bash, &mut command, NAME, &mut text),
        Print::Zsh => generate(Shell::Zsh, &mut command, NAME, &mut text),
        Print::Fish => generate(Shell::Fish, &mut command, NAME, &mut text),
    }
    Ok(text)
}

fn page(command: clap::Command, text: &mut Vec<u8>) -> io::Result<()> {
    let page = Man::new(command);
    page.render_title(text)?;
    page.render_name_section(text)?;
    page.render_synopsis_section(text)?;
    page.render_description_section(text)?;
    page.render_options_section(text)?;
    let mut keys = Roff::new();
    keys.control("SH", ["KEYS"]);
    for place in Where::ALL {
        keys.control("SS", [place.heading()]);
        for binding in KEYS.iter().filter(|binding| binding.place == place && !binding.label.is_empty()) {
            keys.control("TP", []);
            keys.text([bold(binding.label)]);
            keys.text([roman(binding.help)]);
        }
    }
    keys.to_writer(text)?;
    page.render_version_section(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_every_option() {
        for what in [Print::Man, Print::Bash, Print::Zsh, Print::Fish] {
            let text = String::from_utf8(text(what).unwrap()).unwrap().replace("\\-", "-");
            for option in Cli::command().get_arguments().filter_map(clap::Arg::get_long) {
                assert!(text.contains(option), "{what:?}: --{option}");
            }
        }
    }

    #[test]
    fn the_page_has_every_key_that_help_has() {
        let page = String::from_utf8(text(Print::Man).unwrap()).unwrap();
        for binding in KEYS.iter().filter(|binding| !binding.help.is_empty()) {
            assert!(page.contains(binding.help), "{}", binding.label);
        }
    }
}
