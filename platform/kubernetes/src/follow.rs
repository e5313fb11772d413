//! One watch: objects of one kind become changes, relists whole, for ever. What a change is, its owner says.
//!
//! Errors never empty anything: what was known stays until a whole list takes its place, and what was known of one object
//! until that object can be read again.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::Request;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Level, debug, error, info, warn};

use crate::list::ListMeta;
use crate::object::Name;
use crate::page::Page;
use crate::part::Part;
use crate::patience::Patience;
use crate::wire::{self, Watched, Wire};

/// A watch that says nothing for so long is begun again: the API server ends it, or we do five seconds later.
const WATCH: u32 = 60;

/// A list that makes no progress for so long is begun again.
const LIST: Duration = Duration::from_secs(15);

/// A kind that the cluster doesn't know is asked for again after this.
const ABSENT: Duration = Duration::from_secs(10);

/// Objects per page of a list, as the API server's own clients have it. Whatever it is, one object is held at a time.
const PAGE: u32 = 500;

/// A watch that ends sooner isn't begun again at once.
const BRIEF: Duration = Duration::from_secs(1);

/// One watch, and what becomes of what it says.
pub(crate) struct Follow<T, C> {
    /// For the log, such as `deployments`.
    pub(crate) what: &'static str,
    pub(crate) client: Client,
    /// `None`: all.
    pub(crate) namespace: Option<String>,
    pub(crate) which: Which,
    /// What is said of an object.
    pub(crate) change: Box<dyn Fn(Said<T>) -> C + Send + Sync>,
}

/// Which objects of a kind are watched.
pub(crate) enum Which {
    All,
    /// Those that a label selector selects.
    Labels(String),
    /// The one of this name: a right to it alone is enough
    /// (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources>).
    Named(String),
}

impl Which {
    /// As selectors of labels and of fields.
    fn selectors(&self) -> [Option<String>; 2] {
        match self {
            Which::All => [None, None],
            Which::Labels(labels) => [Some(labels.clone()), None],
            Which::Named(name) => [None, Some(format!("metadata.name={name}"))],
        }
    }
}

/// What a watch says, before it has a place.
pub(crate) enum Said<T> {
    /// `None`: it is there, and can't be read.
    All(Vec<(Name, Option<T>)>),
    One(Name, Option<T>),
}

impl<T> Said<T> {
    /// The same of what `U` is made from `T`.
    pub(crate) fn of<U: From<T>>(self) -> Said<U> {
        match self {
            Said::All(all) => {
                Said::All(all.into_iter().map(|(name, one)| (name, one.map(U::from))).collect())
            }
            Said::One(name, object) => Said::One(name, object.map(U::from)),
        }
    }

    /// As a part of the cluster's state, in the scope of the watch.
    pub(crate) fn part(self, scope: Option<&str>) -> Part<T> {
        match self {
            Said::All(all) => Part::All(scope.map(Into::into), all),
            Said::One(name, object) => Part::One(name, object),
        }
    }
}

/// Why a list or a watch was left.
enum Left {
    /// In order, at this version.
    At(String),
    /// Something broke; a watch goes on from this version, if there is one.
    Broken(Option<String>, Fault),
    /// Nobody listens any more.
    Unheard,
}

/// What broke.
enum Fault {
    Api(kube::Error),
    /// What came isn't a list.
    List(String),
    Stalled,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Api(error) => write!(out, "{error}"),
            Fault::List(wrong) => write!(out, "what came isn't a whole list: {wrong}"),
            Fault::Stalled => write!(out, "it made no progress for {LIST:?}"),
        }
    }
}

impl From<kube::Error> for Fault {
    fn from(error: kube::Error) -> Self {
        Fault::Api(error)
    }
}

impl Fault {
    /// Whether a change was missed: it can't be had any more, or it came and can't be read.
    fn missed(&self) -> bool {
        match self {
            Fault::Api(kube::Error::Api(status)) => status.code == 410,
            Fault::Api(kube::Error::SerdeError(_)) => true,
            _ => false,
        }
    }

    /// Whether the cluster doesn't know the kind.
    fn is_unknown(&self) -> bool {
        matches!(self, Fault::Api(kube::Error::Api(status)) if status.code == 404)
    }

    /// Whether the right is missing.
    fn is_refused(&self) -> bool {
        matches!(self, Fault::Api(kube::Error::Api(status)) if status.code == 403)
    }
}

impl<T: Watched, C> Follow<T, C> {
    /// Runs until nobody listens to `out`.
    pub(crate) async fn run(self, out: mpsc::Sender<C>) {
        let (mut patience, mut broken) = (Patience::default(), None);
        let mut from: Option<String> = None;
        // Lists are asked for as JSON: nothing else can be read, or what came otherwise couldn't be.
        let mut plain = T::MESSAGE.is_none();
        loop {
            let begun = Instant::now();
            let watched = from.is_some();
            let left = match &from {
                None => self.list(&out, &mut broken, plain).await,
                Some(version) => self.watch(version.clone(), &out, &mut broken).await,
            };
            match left {
                Left::Unheard => return,
                Left::At(version) => {
                    from = Some(version);
                    if watched && begun.elapsed() < BRIEF {
                        patience.pause().await;
                    }
                }
                // There are none, and nobody is alarmed.
                Left::Broken(_, fault) if T::OPTIONAL && fault.is_unknown() => {
                    from = None;
                    if !self.say(Said::All(Vec::new()), &out, &mut broken).await {
                        return;
                    }
                    sleep(ABSENT).await;
                }
                Left::Broken(version, fault) => {
                    self.complain(&fault, &mut broken);
                    plain |= matches!(fault, Fault::List(_));
                    from = version;
                    patience.pause().await;
                }
            }
        }
    }

    /// Lists everything, and says it once it is whole.
    async fn list(&self, out: &mpsc::Sender<C>, broken: &mut Option<Level>, plain: bool) -> Left {
        let mut kept = Kept::default();
        let mut token = None;
        let version = loop {
            let meta = match self.page(token, plain, &mut kept).await {
                Ok(meta) => meta,
                Err(fault) => return Left::Broken(None, fault),
            };
            token = meta.token.filter(|token| !token.is_empty());
            match (&token, meta.resource_version.filter(|version| !version.is_empty())) {
                (Some(_), _) => {}
                (None, Some(version)) => break version,
                (None, None) => {
                    let fault = Fault::List("it has no metadata.resourceVersion".to_owned());
                    return Left::Broken(None, fault);
                }
            }
        };
        if let Some((count, wrong)) = &kept.unread {
            self.unread(*count, wrong);
        }
        match self.say(Said::All(kept.objects), out, broken).await {
            true => Left::At(version),
            false => Left::Unheard,
        }
    }

    /// Reads one page of a list into `kept`, as it comes.
    async fn page(&self, token: Option<String>, plain: bool, kept: &mut Kept<T>) -> Result<ListMeta, Fault> {
        let mut params = ListParams::default().limit(PAGE);
        [params.label_selector, params.field_selector] = self.which.selectors();
        params.continue_token = token;
        let request = self.request().list(&params).map_err(kube::Error::BuildRequest).map_err(Fault::Api)?;
        let asked = timeout(LIST, Page::ask(&self.client, request, plain)).await;
        let mut page = asked.map_err(|_| Fault::Stalled)??;
        let mut found = |object: Wire<T>| kept.take(object);
        loop {
            let chunk = timeout(LIST, page.chunk()).await.map_err(|_| Fault::Stalled)?;
            match chunk.map_err(Fault::Api)? {
                Some(chunk) => page.list.take(&chunk, &mut found).map_err(Fault::List)?,
                None => return page.list.end(&mut found).map_err(Fault::List),
            }
        }
    }

    /// Says what changes after `version`, for as long as the watch lasts.
    async fn watch(&self, mut version: String, out: &mpsc::Sender<C>, broken: &mut Option<Level>) -> Left {
        let mut params = WatchParams::default().timeout(WATCH);
        [params.label_selector, params.field_selector] = self.which.selectors();
        let idle = Duration::from_secs(u64::from(WATCH) + 5);
        let stream = match self.request().watch(&params, &version).map_err(kube::Error::BuildRequest) {
            Ok(request) => timeout(LIST, self.client.request_events::<Wire<T>>(request)).await,
            Err(error) => Ok(Err(error)),
        };
        let mut stream = match stream {
            Ok(Ok(stream)) => pin!(stream),
            Ok(Err(error)) => return Self::broken(version, Fault::Api(error)),
            Err(_) => return Self::broken(version, Fault::Stalled),
        };
        loop {
            let object = match timeout(idle, stream.next()).await {
                Ok(Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)))) => object,
                Ok(Some(Ok(WatchEvent::Deleted(object)))) => Wire { kept: Ok(None), ..object },
                Ok(Some(Ok(WatchEvent::Bookmark(bookmark)))) => {
                    version = bookmark.metadata.resource_version;
                    continue;
                }
                Ok(Some(Ok(WatchEvent::Error(status)))) => {
                    return Self::broken(version, Fault::Api(kube::Error::Api(status)));
                }
                Ok(Some(Err(error))) => return Self::broken(version, Fault::Api(error)),
                Ok(None) | Err(_) => return Left::At(version),
            };
            let Some(seen) = object.version else {
                return Left::Broken(None, Fault::List("an object has no version".to_owned()));
            };
            version = seen;
            let said = match (object.name, object.kept) {
                (Some(name), Ok(kept)) => Said::One(name, kept),
                (None, Ok(_)) => continue,
                (name, Err(wrong)) => {
                    self.unread(1, &said_of(name.as_ref(), &wrong));
                    continue;
                }
            };
            if !self.say(said, out, broken).await {
                return Left::Unheard;
            }
        }
    }

    fn broken(version: String, fault: Fault) -> Left {
        Left::Broken(if fault.missed() { None } else { Some(version) }, fault)
    }

    fn request(&self) -> Request {
        Request::new(wire::path::<T>(self.namespace.as_deref()))
    }

    /// Whether somebody listens.
    async fn say(&self, said: Said<T>, out: &mpsc::Sender<C>, broken: &mut Option<Level>) -> bool {
        if broken.take().is_some() {
            info!(what = self.what, "the watch goes on");
        }
        out.send((self.change)(said)).await.is_ok()
    }

    fn unread(&self, count: usize, wrong: &str) {
        warn!(what = self.what, count, "can't be read, stays as it was last read: {wrong}");
    }

    /// Says once what broke, and once more if it is a missing right: that doesn't pass by itself.
    fn complain(&self, error: &Fault, broken: &mut Option<Level>) {
        let level = if error.is_refused() { Level::ERROR } else { Level::WARN };
        if broken.is_some_and(|told| told <= level) {
            debug!(what = self.what, %error, "the watch is still broken");
            return;
        }
        *broken = Some(level);
        if level == Level::ERROR {
            error!(
                what = self.what, %error,
                "the cluster refuses a watch: apply what `kaos install` prints, for Secrets with the same --tls-secret, or \
                 give the right to the Secret that an Ingress names; \
                 what is known stays, and it is tried again"
            );
        } else {
            warn!(what = self.what, %error, "a watch broke: the last picture stays, and it is tried again");
        }
    }
}

/// What is kept of a list that isn't whole yet.
struct Kept<T> {
    objects: Vec<(Name, Option<T>)>,
    /// How many of them can't be read, and what is wrong with the first.
    unread: Option<(usize, String)>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept { objects: Vec::new(), unread: None }
    }
}

impl<T> Kept<T> {
    fn take(&mut self, object: Wire<T>) {
        let kept = match object.kept {
            Ok(None) => return,
            Ok(kept) => kept,
            Err(wrong) => {
                let first = || (0, said_of(object.name.as_ref(), &wrong));
                self.unread.get_or_insert_with(first).0 += 1;
                None
            }
        };
        self.objects.extend(object.name.map(|name| (name, kept)));
    }
}

fn said_of(name: Option<&Name>, wrong: &str) -> String {
    match name {
        Some((namespace, name)) => format!("{namespace}/{name}: {wrong}"),
        None => format!("an object without a name: {wrong}"),
    }
}
