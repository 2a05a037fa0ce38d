//! `dctrl products`

use clap::Subcommand;
use dctrl_proto::v1::{FiatPrice, Product, ProductList, ProductSet, product::Price};

use super::find_row;
use crate::{
    args::{PageArgs, more},
    context::Context,
    failure::Failure,
    submit::{SubmitArgs, submit_and_show},
    table::Table,
    text::price,
};

/// The catalogue.
#[derive(Debug, Subcommand)]
pub enum ProductsCommand {
    /// Products in order of their ids
    List(PageArgs),
    /// Add a product, or change what is named here and keep the rest
    Set {
        /// The product's id
        id: String,
        /// Name for people
        #[arg(long)]
        name: Option<String>,
        /// Price: `1500` in sats, or `EUR:2.50` in a currency
        #[arg(long, value_name = "PRICE", value_parser = parse_price)]
        price: Option<Price>,
        /// The version this change rests on [default: the present one]
        #[arg(long, value_name = "VERSION")]
        expected_version: Option<u64>,
        /// How to submit.
        #[command(flatten)]
        submit: SubmitArgs,
    },
}

/// Runs `dctrl products …`.
///
/// # Errors
/// A refusal, or no node.
pub async fn run(context: &mut Context, command: ProductsCommand) -> Result<(), Failure> {
    match command {
        ProductsCommand::List(page) => {
            let answer = context
                .nodes
                .query(async |mut client| client.list_products(page.request()).await)
                .await?;
            context.out.answer(&answer, human)
        }
        ProductsCommand::Set {
            id,
            name,
            price,
            expected_version,
            submit,
        } => {
            let known = find_row!(context.nodes, list_products, products, |one| one.id == id);
            let mut product = known.unwrap_or_else(|| Product {
                name: id.clone(),
                id,
                ..Product::default()
            });
            let seen = product.version;
            product.name = name.unwrap_or(product.name);
            product.price = price.or(product.price);
            let payload = ProductSet {
                product: Some(product),
                expected_version: expected_version.unwrap_or(seen),
            };
            submit_and_show(context, &submit, &payload).await
        }
    }
}

/// `1500` or `EUR:2.50`: a currency has two decimals, as its minor unit.
fn parse_price(text: &str) -> Result<Price, String> {
    let wrong = || format!("`{text}` is no price: write `1500` for sats, or `EUR:2.50`");
    let Some((currency, amount)) = text.split_once(':') else {
        return text.parse().map(Price::PriceSats).map_err(|_| wrong());
    };
    let (whole, cents) = amount.split_once('.').unwrap_or((amount, "00"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let letters = currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_uppercase());
    if !letters || !digits(whole) || !digits(cents) || cents.len() != 2 {
        return Err(wrong());
    }
    let minor_units = format!("{whole}{cents}").parse().map_err(|_| wrong())?;
    Ok(Price::PriceFiat(FiatPrice {
        currency: currency.to_owned(),
        minor_units,
    }))
}

fn human(list: &ProductList) -> String {
    let mut table = Table::new(&["ID", "NAME", ">PRICE", ">VERSION"]);
    for product in &list.products {
        table.row([
            product.id.clone(),
            product.name.clone(),
            price(product.price.as_ref()),
            product.version.to_string(),
        ]);
    }
    format!("{table}at height {}\n{}", list.height, more(&list.next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read_in_sats_or_in_a_currency() {
        assert_eq!(parse_price("1500"), Ok(Price::PriceSats(1500)));
        let fiat = |minor_units| {
            Price::PriceFiat(FiatPrice {
                currency: "EUR".into(),
                minor_units,
            })
        };
        assert_eq!(parse_price("EUR:2.50"), Ok(fiat(250)));
        assert_eq!(parse_price("EUR:3"), Ok(fiat(300)));
    }

    #[test]
    fn a_price_that_could_be_misread_is_refused() {
        for text in [
            "-1",
            "1.5",
            "EUR:2.5",
            "EUR:-2.50",
            "eur:2.50",
            "EUR:",
            "EUR:2.",
            "",
            "1e3",
        ] {
            assert!(parse_price(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_catalogue_is_a_table() {
        let list = ProductList {
            height: 3,
            products: vec![Product {
                id: "club-mate".into(),
                name: "Club-Mate 0.5 l".into(),
                version: 1,
                price: Some(Price::PriceSats(1500)),
            }],
            next: String::new(),
        };
        let expected = "\
ID         NAME                  PRICE  VERSION
club-mate  Club-Mate 0.5 l  1,500 sats        1
at height 3
";
        assert_eq!(human(&list), expected);
    }
}
