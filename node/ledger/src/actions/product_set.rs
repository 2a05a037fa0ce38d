//! `product.set`: add a product or change its name or price.

use dctrl_proto::v1::product::Price;
use dctrl_proto::v1::{Product, ProductSet, Refusal};

use crate::caller::Caller;
use crate::rates::SATS_MAX;
use crate::refuse::{aborted, ensure, invalid};
use crate::registry::Action;
use crate::scope::{Scope, View};
use crate::{facts, ids, keys, tables};

/// Checks a product's record in itself.
pub(crate) fn check_product(at: &str, product: &Product) -> Result<(), Refusal> {
    ids::id(&format!("{at}.id"), &product.id)?;
    ids::text(&format!("{at}.name"), &product.name)?;
    let positive = |field: &str, holds: bool| {
        ensure(holds, || {
            let message = "A price is more than nothing and at most what there is.";
            invalid("product.price", format!("{at}.{field}"), message)
        })
    };
    match &product.price {
        Some(Price::PriceSats(sats)) => positive("price_sats", (1..=SATS_MAX).contains(sats)),
        Some(Price::PriceFiat(fiat)) => {
            ids::currency(&format!("{at}.price_fiat.currency"), &fiat.currency)?;
            positive("price_fiat.minor_units", fiat.minor_units > 0)
        }
        None => positive("price", false),
    }
}

impl Action for ProductSet {
    type Plan = Product;

    fn check(&self) -> Result<(), Refusal> {
        let product = self.product.as_ref().ok_or_else(|| {
            let message = "The product is missing.";
            invalid("product", "product", message)
        })?;
        check_product("product", product)
    }

    fn guard(&self, view: &View<'_>, _: &Caller) -> Result<Product, Refusal> {
        let mut product = self.product.clone().unwrap_or_default();
        let known = tables::product(view.state, &product.id);
        let version = known.map_or(0, |known| known.version);
        ensure(self.expected_version == version, || {
            let expected = self.expected_version;
            let message = format!("The product is at version {version}, not {expected}.");
            aborted("product.version", message)
        })?;
        product.version = version + 1;
        Ok(product)
    }

    fn execute(self, product: Product, scope: &mut Scope<'_>, _: &Caller) -> String {
        scope.put(keys::product(&product.id), &product);
        let id = product.id.clone();
        scope.tell(facts::product(product));
        id
    }
}
