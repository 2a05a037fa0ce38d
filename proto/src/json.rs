//! How messages look in JSON: bytes as lower-case hex, enums by name.

pub(crate) mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        hex::decode(text).map_err(D::Error::custom)
    }
}

pub(crate) mod hex_list {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(list: &[Vec<u8>], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(list.iter().map(hex::encode))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Vec<u8>>, D::Error> {
        let list = Vec::<String>::deserialize(from)?;
        list.into_iter()
            .map(|text| hex::decode(text).map_err(D::Error::custom))
            .collect()
    }
}

/// A protobuf enum field, which prost keeps as a number, by its name.
#[allow(
    non_camel_case_types,
    reason = "reads as a module in the generated attribute"
)]
pub(crate) struct named<E>(std::marker::PhantomData<E>);

impl<E> named<E>
where
    E: TryFrom<i32> + Into<i32> + serde::Serialize + for<'de> serde::Deserialize<'de>,
{
    pub(crate) fn serialize<S: serde::Serializer>(value: &i32, to: S) -> Result<S::Ok, S::Error> {
        match E::try_from(*value) {
            Ok(known) => known.serialize(to),
            Err(_) => to.serialize_i32(*value),
        }
    }

    pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
        E::deserialize(from).map(Into::into)
    }
}
