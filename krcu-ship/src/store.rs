//! Store: a fleet in an object store that speaks S3, named as `s3://BUCKET/PREFIX`. Keys, region and endpoint come from the
//! environment, by the names that other programs use (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL` and so on).

use std::{io::Read as _, path::Path};

use anyhow::{Context as _, Result, bail};
use object_store::{
    ObjectStore, ObjectStoreExt as _, PutPayload, WriteMultipart, aws::AmazonS3Builder, path::Path as Key,
};
use percent_encoding::percent_decode_str;
use tokio::runtime::{self, Runtime};
use url::Url;

use crate::{destination::Destination, done::Part};

/// Bytes that are sent together.
const PIECE: usize = 8 << 20;

/// The objects below `PREFIX/traces`.
#[derive(Debug)]
pub struct Store {
    bucket: Box<dyn ObjectStore>,
    prefix: String,
    runtime: Runtime,
}

impl Store {
    /// The fleet of this name.
    ///
    /// # Errors
    /// When the name is none of S3, or the environment lacks what it needs.
    pub fn new(name: &str) -> Result<Store> {
        let url = Url::parse(name).with_context(|| format!("{name} is no s3://BUCKET/PREFIX"))?;
        if url.scheme() != "s3" {
            bail!("{name} is no s3://BUCKET/PREFIX");
        }
        let bucket = AmazonS3Builder::from_env()
            .with_url(name)
            .build()
            .with_context(|| format!("{name}: the environment has to say keys and endpoint"))?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("starting what waits for the network")?;
        let prefix = percent_decode_str(url.path().trim_matches('/'))
            .decode_utf8()
            .with_context(|| format!("{name}: the prefix is no text"))?
            .into_owned();
        Ok(Store { bucket: Box::new(bucket), prefix, runtime })
    }

    fn key(&self, path: &str) -> Key {
        // `parse` would refuse nothing that `layout::safe` writes, and `from` would escape its `%`.
        let whole = format!("{}/traces/{path}", self.prefix);
        Key::parse(whole.trim_start_matches('/')).unwrap_or_else(|_| Key::from(whole))
    }
}

/// What is there; none of what is not.
fn present<T>(found: object_store::Result<T>, path: &str) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error).with_context(|| path.to_owned()),
    }
}

impl Destination for Store {
    fn size(&self, path: &str) -> Result<Option<u64>> {
        let found = self.runtime.block_on(self.bucket.head(&self.key(path)));
        Ok(present(found, path)?.map(|found| found.size))
    }

    fn read(&self, path: &str) -> Result<Option<String>> {
        let found = self.runtime.block_on(self.bucket.get(&self.key(path)));
        let Some(found) = present(found, path)? else { return Ok(None) };
        let bytes = self.runtime.block_on(found.bytes()).with_context(|| path.to_owned())?;
        String::from_utf8(bytes.to_vec()).with_context(|| path.to_owned()).map(Some)
    }

    /// An object is there when its last part has come, and not before.
    fn put(&self, path: &str, from: &Path, part: &Part) -> Result<()> {
        let mut file = std::fs::File::open(from).with_context(|| from.display().to_string())?;
        let key = self.key(path);
        let sending = || format!("{path} cannot be sent");
        if part.bytes <= PIECE as u64 {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).with_context(|| from.display().to_string())?;
            let sent = self.runtime.block_on(self.bucket.put(&key, PutPayload::from(bytes)));
            return sent.map(|_| ()).with_context(sending);
        }
        self.runtime.block_on(async {
            let upload = self.bucket.put_multipart(&key).await.with_context(sending)?;
            let mut upload = WriteMultipart::new_with_chunk_size(upload, PIECE);
            let mut piece = vec![0; PIECE];
            loop {
                let read = file.read(&mut piece).with_context(|| from.display().to_string())?;
                if read == 0 {
                    break;
                }
                upload.wait_for_capacity(1).await.with_context(sending)?;
                upload.write(piece.get(..read).unwrap_or_default());
            }
            upload.finish().await.map(|_| ()).with_context(sending)
        })
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        let sent = self.runtime.block_on(self.bucket.put(&self.key(path), PutPayload::from(text.to_owned())));
        sent.map(|_| ()).with_context(|| format!("{path} cannot be sent"))
    }
}
