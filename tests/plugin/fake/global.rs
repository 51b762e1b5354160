//! `wezterm.GLOBAL`: what outlives a reload. Each process has one. It takes strings, numbers, booleans and
//! tables of them; it is read through proxies, and an array in it does not grow in place.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use mlua::{
    Error, IntoLua, Lua, MetaMethod, MultiValue, Result, UserData, UserDataMethods, UserDataRef, Value,
};

/// A value in it. Tables in it are shared: who reads one has the one that is kept.
#[derive(Clone, Debug)]
pub enum Kept {
    Nothing,
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(String),
    Array(Rc<RefCell<Vec<Kept>>>),
    Object(Rc<RefCell<BTreeMap<String, Kept>>>),
}

impl Kept {
    pub fn new() -> Self {
        Kept::Object(Rc::default())
    }

    /// As text, for messages of tests.
    pub fn show(&self) -> String {
        match self {
            Kept::Nothing => "nil".into(),
            Kept::Bool(b) => b.to_string(),
            Kept::Integer(i) => i.to_string(),
            Kept::Number(n) => n.to_string(),
            Kept::Text(t) => format!("{t:?}"),
            Kept::Array(items) => {
                let items: Vec<String> = items.borrow().iter().map(Kept::show).collect();
                format!("[{}]", items.join(", "))
            }
            Kept::Object(fields) => {
                let fields: Vec<String> =
                    fields.borrow().iter().map(|(k, v)| format!("{k}: {}", v.show())).collect();
                format!("{{{}}}", fields.join(", "))
            }
        }
    }

    pub fn field(&self, name: &str) -> Option<Kept> {
        match self {
            Kept::Object(fields) => fields.borrow().get(name).cloned(),
            _ => None,
        }
    }
}

fn cannot(from: &'static str, why: String) -> Error {
    Error::FromLuaConversionError { from, to: "Value", message: Some(why) }
}

fn keep(value: Value) -> Result<Kept> {
    Ok(match value {
        Value::Nil => Kept::Nothing,
        Value::Boolean(b) => Kept::Bool(b),
        Value::Integer(i) => Kept::Integer(i),
        Value::Number(n) => Kept::Number(n),
        Value::String(s) => Kept::Text(s.to_str()?.to_string()),
        Value::UserData(u) if u.is::<Kept>() => u.borrow::<Kept>()?.clone(),
        Value::Table(table) if table.contains_key(1)? => {
            let mut items = Vec::new();
            for item in table.clone().sequence_values::<Value>() {
                items.push(keep(item?)?);
            }
            for pair in table.pairs::<Value, Value>() {
                let (key, _) = pair?;
                let fits = matches!(key, Value::Integer(n) if n >= 1 && n as usize <= items.len());
                if !fits {
                    return Err(cannot(
                        key.type_name(),
                        format!("Unexpected key {key:?} for array style table"),
                    ));
                }
            }
            Kept::Array(Rc::new(RefCell::new(items)))
        }
        Value::Table(table) => {
            let mut fields = BTreeMap::new();
            for pair in table.pairs::<String, Value>() {
                let (key, value) = pair?;
                let from = value.type_name();
                let value =
                    keep(value).map_err(|e| cannot(from, format!("while processing {key:?}: {e}")))?;
                fields.insert(key, value);
            }
            Kept::Object(Rc::new(RefCell::new(fields)))
        }
        other => return Err(cannot(other.type_name(), "it cannot be kept".into())),
    })
}

/// What an index gives: plain values as they are, tables as proxies.
fn give<'lua>(lua: &'lua Lua, kept: &Kept) -> Result<Value<'lua>> {
    match kept {
        Kept::Nothing => Ok(Value::Nil),
        Kept::Bool(b) => Ok(Value::Boolean(*b)),
        Kept::Integer(i) => Ok(Value::Integer(*i)),
        Kept::Number(n) => Ok(Value::Number(*n)),
        Kept::Text(t) => t.as_str().into_lua(lua),
        Kept::Array(_) | Kept::Object(_) => kept.clone().into_lua(lua),
    }
}

fn array_index(at: i64) -> Result<usize> {
    usize::try_from(at)
        .ok()
        .and_then(|at| at.checked_sub(1))
        .ok_or_else(|| Error::external(format!("invalid array index {at}")))
}

impl UserData for Kept {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Len, |_, this, ()| match this {
            Kept::Array(items) => Ok(items.borrow().len()),
            Kept::Object(fields) => Ok(fields.borrow().len()),
            Kept::Text(text) => Ok(text.len()),
            _ => Err(Error::external("invalid type for len operator")),
        });
        methods.add_meta_method(MetaMethod::Index, |lua, this, key: Value| match (this, key) {
            (Kept::Array(items), Value::Integer(at)) => {
                let at = array_index(at)?;
                let item = items.borrow().get(at).cloned();
                item.map_or(Ok(Value::Nil), |item| give(lua, &item))
            }
            (Kept::Array(_), _) => Err(Error::external("can only index arrays using integer values")),
            (Kept::Object(fields), Value::String(key)) => {
                let key = key.to_str().map_err(|e| {
                    Error::external(format!("can only index objects using unicode strings: {e}"))
                })?;
                let field = fields.borrow().get(key).cloned();
                field.map_or(Ok(Value::Nil), |field| give(lua, &field))
            }
            (Kept::Object(_), _) => Err(Error::external("can only index objects using string values")),
            _ => Err(Error::external("can only index array or object values")),
        });
        methods.add_meta_method(MetaMethod::NewIndex, |_, this, (key, value): (Value, Value)| {
            match (this, key) {
                (Kept::Array(items), Value::Integer(at)) => {
                    let at = array_index(at)?;
                    let mut items = items.borrow_mut();
                    let len = items.len();
                    if at >= len {
                        return Err(Error::external(format!(
                            "cannot make sparse array by inserting at {at} when len is {len}"
                        )));
                    }
                    let value = keep(value)?;
                    // to set the last one adds another: so it is in WezTerm
                    if at == len - 1 {
                        items.push(value)
                    } else {
                        items[at] = value
                    }
                    Ok(())
                }
                (Kept::Array(_), _) => Err(Error::external("can only index arrays using integer values")),
                (Kept::Object(fields), Value::String(key)) => {
                    let key = key.to_str().map_err(|e| {
                        Error::external(format!("can only index objects using unicode strings: {e}"))
                    })?;
                    let value = keep(value)?;
                    fields.borrow_mut().insert(key.to_string(), value);
                    Ok(())
                }
                (Kept::Object(_), _) => Err(Error::external("can only index objects using string values")),
                _ => Err(Error::external("can only index array or object values")),
            }
        });
        // what `pairs` gives are proxies, also of plain values: so it is in WezTerm
        methods.add_meta_method(MetaMethod::Pairs, |lua, this, ()| {
            let next = match this {
                Kept::Array(_) => lua.create_function(|lua, (this, i): (UserDataRef<Kept>, usize)| {
                    let Kept::Array(items) = &*this else { return Ok(MultiValue::new()) };
                    match items.borrow().get(i) {
                        Some(item) => Ok(MultiValue::from_vec(vec![
                            (i + 1).into_lua(lua)?,
                            item.clone().into_lua(lua)?,
                        ])),
                        None => Ok(MultiValue::new()),
                    }
                })?,
                Kept::Object(_) => {
                    lua.create_function(|lua, (this, key): (UserDataRef<Kept>, Option<String>)| {
                        let Kept::Object(fields) = &*this else { return Ok(MultiValue::new()) };
                        let fields = fields.borrow();
                        let next = match key {
                            None => fields.iter().next(),
                            Some(key) => fields.range(key.clone()..).find(|(k, _)| **k != key),
                        };
                        match next {
                            Some((k, v)) => Ok(MultiValue::from_vec(vec![
                                k.as_str().into_lua(lua)?,
                                v.clone().into_lua(lua)?,
                            ])),
                            None => Ok(MultiValue::new()),
                        }
                    })?
                }
                _ => return Err(Error::external("invalid type for __ipairs metamethod")),
            };
            let start = if matches!(this, Kept::Array(_)) { Value::Integer(0) } else { Value::Nil };
            Ok((next, this.clone(), start))
        });
    }
}
