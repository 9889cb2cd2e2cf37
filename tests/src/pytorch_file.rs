//! Small files as `torch.save` writes them, byte by byte.

/// A tensor's element type, as PyTorch calls its storage.
#[derive(Clone, Copy)]
pub enum Storage {
    Float,
    Double,
    BFloat16,
    Half,
    Long,
}

/// What a checkpoint holds.
pub enum Value {
    Tensor {
        storage: Storage,
        shape: Vec<usize>,
        data: Vec<f32>,
    },
    Int(u8),
    List(Vec<Value>),
    Dict(Vec<(String, Value)>),
    /// An object of a class, such as `torch.nn.modules.loss` and `CrossEntropyLoss`, with its attributes.
    Object(&'static str, &'static str, Box<Value>),
    /// Opcodes that leave one object on the stack.
    Opcodes(Vec<u8>),
    /// Opcodes that leave a dictionary of some class on the stack, and its entries.
    Filled(Vec<u8>, Vec<(String, Value)>),
}

impl Value {
    pub fn dict<S: Into<String>>(entries: impl IntoIterator<Item = (S, Value)>) -> Self {
        Self::Dict(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }
}

/// A pickle, and the storages that it refers to.
#[derive(Default)]
struct Pickler {
    pickle: Vec<u8>,
    storages: Vec<(usize, Vec<u8>)>,
}

impl Pickler {
    fn of(value: &Value) -> Self {
        let mut pickler = Self { pickle: b"\x80\x02".to_vec(), ..Self::default() };
        pickler.value(value);
        pickler.pickle.push(b'.');
        pickler
    }

    fn put(&mut self, bytes: &[u8]) {
        self.pickle.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.put(b"X");
        self.put(&(text.len() as u32).to_le_bytes());
        self.put(text.as_bytes());
    }

    fn int(&mut self, value: usize) {
        self.put(b"J");
        self.put(&(value as i32).to_le_bytes());
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Int(value) => self.put(&[b'K', *value]),
            Value::Opcodes(opcodes) => self.put(opcodes),
            Value::List(items) => {
                self.put(b"](");
                items.iter().for_each(|item| self.value(item));
                self.put(b"e");
            }
            Value::Dict(entries) => self.filled(b"}", entries),
            Value::Filled(dictionary, entries) => self.filled(dictionary, entries),
            Value::Object(module, name, attributes) => {
                self.put(format!("c{module}\n{name}\n)").as_bytes());
                self.put(b"\x81");
                self.value(attributes);
                self.put(b"b");
            }
            Value::Tensor { storage, shape, data } => self.tensor(*storage, shape, data),
        }
    }

    fn filled(&mut self, dictionary: &[u8], entries: &[(String, Value)]) {
        self.put(dictionary);
        self.put(b"(");
        for (key, value) in entries {
            self.text(key);
            self.value(value);
        }
        self.put(b"u");
    }

    fn tensor(&mut self, storage: Storage, shape: &[usize], data: &[f32]) {
        let name = match storage {
            Storage::Float => "Float",
            Storage::Double => "Double",
            Storage::BFloat16 => "BFloat16",
            Storage::Half => "Half",
            Storage::Long => "Long",
        };
        self.put(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        self.text("storage");
        self.put(format!("ctorch\n{name}Storage\n").as_bytes());
        self.text(&self.storages.len().to_string());
        self.text("cpu");
        self.int(data.len());
        self.put(b"tQK\x00(");
        shape.iter().for_each(|&extent| self.int(extent));
        self.put(b"t(");
        for axis in 0..shape.len() {
            self.int(shape[axis + 1..].iter().product());
        }
        self.put(b"t\x89ccollections\nOrderedDict\n)RtR");
        self.storages.push((data.len(), data.iter().flat_map(|&value| element(storage, value)).collect()));
    }
}

fn element(storage: Storage, value: f32) -> Vec<u8> {
    match storage {
        Storage::Float => value.to_le_bytes().to_vec(),
        Storage::Double => f64::from(value).to_le_bytes().to_vec(),
        Storage::Long => (value as i64).to_le_bytes().to_vec(),
        // The upper half of an f32.
        Storage::BFloat16 => value.to_le_bytes()[2..].to_vec(),
        Storage::Half => half(value).to_le_bytes().to_vec(),
    }
}

/// The f16 of a number that it has exactly.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let (sign, exponent, mantissa) = ((bits >> 16) & 0x8000, (bits >> 23) & 0xff, bits & 0x7f_ffff);
    if value == 0.0 { sign as u16 } else { (sign | ((exponent - 112) << 10) | (mantissa >> 13)) as u16 }
}

/// The file of PyTorch 1.6 and later.
pub fn zipped(value: &Value) -> Vec<u8> {
    zipped_in("a", value)
}

/// The same with the folder `stem` inside, which PyTorch calls as the file.
pub fn zipped_in(stem: &str, value: &Value) -> Vec<u8> {
    let Pickler { pickle, storages } = Pickler::of(value);
    let mut entries = vec![(format!("{stem}/data.pkl"), pickle), (format!("{stem}/byteorder"), b"little".to_vec())];
    let storages = storages.into_iter().enumerate();
    entries.extend(storages.map(|(key, (_, bytes))| (format!("{stem}/data/{key}"), bytes)));
    zip(&entries)
}

/// The file of PyTorch before 1.6.
pub fn legacy(value: &Value) -> Vec<u8> {
    let Pickler { pickle, storages } = Pickler::of(value);
    let mut bytes = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.".to_vec();
    bytes.extend(Pickler::of(&Value::dict([("little_endian", Value::Opcodes(vec![0x88]))])).pickle);
    bytes.extend(pickle);
    let key = |key: usize| {
        let mut text = Pickler::default();
        text.text(&key.to_string());
        Value::Opcodes(text.pickle)
    };
    bytes.extend(Pickler::of(&Value::List((0..storages.len()).map(key).collect())).pickle);
    for (elements, storage) in storages {
        bytes.extend((elements as u64).to_le_bytes());
        bytes.extend(storage);
    }
    bytes
}

/// A pickle by itself.
pub fn bare(value: &Value) -> Vec<u8> {
    Pickler::of(value).pickle
}

/// A safetensors file of f32: header length, header, data.
pub fn safetensors(entries: &[(String, Vec<usize>, Vec<f32>)]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::<u8>::new());
    for (name, shape, values) in entries {
        let start = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(name.clone(), entry);
    }
    let header = serde_json::Value::Object(header).to_string().into_bytes();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// A zip archive of entries stored as they are; a checksum of 0 means none, as PyTorch can be told to write it. The zip64 records
/// stand before the end record, as in PyTorch's own, whether they are needed or not.
pub fn zip(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut bytes, mut table) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let header = bytes.len() as u32;
        let length = (data.len() as u32).to_le_bytes();
        // Version, flags, method, time, date, checksum, both sizes, length of the name: the same in both records.
        let shared = [&[20, 0][..], &[0; 12], &length, &length, &(name.len() as u16).to_le_bytes()].concat();
        bytes.extend([b"PK\x03\x04", &shared[..], &[0; 2], name.as_bytes(), data].concat());
        table.extend([b"PK\x01\x02\x14\x00", &shared[..], &[0; 12], &header.to_le_bytes(), name.as_bytes()].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let place = [(table.len() as u32).to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
    let at = (bytes.len() + table.len()) as u64;
    let zip64 = zip64_records(entries.len() as u64, table.len() as u64, bytes.len() as u64, at);
    [bytes, table, zip64, b"PK\x05\x06\0\0\0\0".to_vec(), count.to_vec(), count.to_vec(), place, vec![0; 2]].concat()
}

/// The 56 bytes of the zip64 end record at `at`, and the 20 of its locator.
fn zip64_records(entries: u64, table: u64, start: u64, at: u64) -> Vec<u8> {
    let numbers = [entries, entries, table, start].map(u64::to_le_bytes).concat();
    let record = [&b"PK\x06\x06"[..], &44u64.to_le_bytes(), &[45, 0, 45, 0], &[0; 8], &numbers].concat();
    [&record[..], b"PK\x06\x07", &[0; 4], &at.to_le_bytes(), &1u32.to_le_bytes()].concat()
}
