//! The proxies that the system's settings name: on macOS those of System Settings, a PAC file among them;
//! other systems have none but the environment's variables, which are not read here.

/// One way to a URL, as the system's settings have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyEntry {
    Direct,
    /// A proxy that is asked by HTTP's CONNECT.
    Http {
        host: String,
        port: u16,
        /// Name and password.
        account: Option<(String, String)>,
    },
    /// Of another kind, with its name.
    Other(String),
}

/// Whether the settings name any for this URL, or have a PAC file asked. Quick.
#[cfg(not(target_os = "macos"))]
pub fn are_set(_url: &str) -> bool {
    false
}

/// The ways to this URL, the best first; none where nothing is set. May take seconds, where a PAC file
/// has to be fetched and run.
///
/// # Errors
/// What is wrong with the settings or the PAC file, in words.
#[cfg(not(target_os = "macos"))]
pub fn of_system(_url: &str) -> Result<Vec<ProxyEntry>, String> {
    Ok(Vec::new())
}

#[cfg(target_os = "macos")]
pub use macos::{are_set, of_system};

#[cfg(target_os = "macos")]
mod macos {
    use std::ffi::c_void;
    use std::ptr::NonNull;

    use objc2_cf_network as network;
    use objc2_core_foundation::{
        CFArray, CFDictionary, CFError, CFNumber, CFRetained, CFRunLoop, CFRunLoopRunResult,
        CFStreamClientContext, CFString, CFType, CFURL, kCFRunLoopDefaultMode,
    };

    use super::ProxyEntry;

    /// For a PAC file to be fetched and run.
    const PATIENCE: f64 = 5.0;

    type Entry = CFDictionary<CFString, CFType>;

    /// Whether the settings name any for this URL, or have a PAC file asked. Quick.
    pub fn are_set(url: &str) -> bool {
        let entries = url_of(url).map(|url| entries(&url)).unwrap_or_default();
        entries.iter().any(|entry| !matches!(kind(entry), Kind::Direct))
    }

    /// The ways to this URL, the best first; none where nothing is set. May take seconds, where a PAC
    /// file has to be fetched and run.
    ///
    /// # Errors
    /// What is wrong with the settings or the PAC file, in words.
    pub fn of_system(url: &str) -> Result<Vec<ProxyEntry>, String> {
        let target = url_of(url)?;
        let mut hops = Vec::new();
        for entry in entries(&target) {
            match kind(&entry) {
                Kind::Script(script) => {
                    for entry in run(&script, &target)? {
                        hops.push(hop(&entry));
                    }
                }
                Kind::Direct | Kind::Http | Kind::Other(_) => hops.push(hop(&entry)),
            }
        }
        Ok(hops)
    }

    enum Kind {
        Direct,
        Http,
        /// Where the PAC file is.
        Script(CFRetained<CFURL>),
        Other(String),
    }

    /// What the settings say of this URL; exceptions and simple names are looked at by the system.
    #[expect(unsafe_code, reason = "CFNetwork's functions")]
    fn entries(target: &CFURL) -> Vec<CFRetained<Entry>> {
        // SAFETY: it takes nothing.
        let Some(settings) = (unsafe { network::CFNetworkCopySystemProxySettings() }) else {
            return Vec::new();
        };
        // SAFETY: the settings are what the system gave.
        of_array(unsafe { network::CFNetworkCopyProxiesForURL(target, &settings) })
    }

    #[expect(unsafe_code, reason = "the bindings leave the types of an array open")]
    fn of_array(array: CFRetained<CFArray>) -> Vec<CFRetained<Entry>> {
        // SAFETY: an array of proxies holds dictionaries, whose keys are strings (CFProxySupport.h).
        let array: CFRetained<CFArray<Entry>> = unsafe { CFRetained::cast_unchecked(array) };
        array.to_vec()
    }

    #[expect(unsafe_code, reason = "the names are variables of CFNetwork's")]
    fn kind(entry: &Entry) -> Kind {
        // SAFETY: constants, set before anything of ours runs.
        let (key, none, http, https, script, place) = unsafe {
            (
                network::kCFProxyTypeKey,
                network::kCFProxyTypeNone,
                network::kCFProxyTypeHTTP,
                network::kCFProxyTypeHTTPS,
                network::kCFProxyTypeAutoConfigurationURL,
                network::kCFProxyAutoConfigurationURLKey,
            )
        };
        let Some(found) = entry.get(key).and_then(|found| found.downcast::<CFString>().ok()) else {
            return Kind::Other("of no kind".into());
        };
        let url = || entry.get(place).and_then(|url| url.downcast::<CFURL>().ok());
        match &*found {
            found if found == none => Kind::Direct,
            // Both are asked by CONNECT: the second is the one for https URLs.
            found if found == http || found == https => Kind::Http,
            found if found == script => url().map_or(Kind::Direct, Kind::Script),
            found => Kind::Other(found.to_string()),
        }
    }

    #[expect(unsafe_code, reason = "the names are variables of CFNetwork's")]
    fn hop(entry: &Entry) -> ProxyEntry {
        match kind(entry) {
            Kind::Direct => return ProxyEntry::Direct,
            Kind::Other(kind) => return ProxyEntry::Other(kind),
            Kind::Script(_) => return ProxyEntry::Other("a PAC file that names another".into()),
            Kind::Http => {}
        }
        // SAFETY: constants, set before anything of ours runs.
        let (host, port, name, password) = unsafe {
            (
                network::kCFProxyHostNameKey,
                network::kCFProxyPortNumberKey,
                network::kCFProxyUsernameKey,
                network::kCFProxyPasswordKey,
            )
        };
        let text = |key: &CFString| Some(entry.get(key)?.downcast_ref::<CFString>()?.to_string());
        let port = entry.get(port).and_then(|port| port.downcast_ref::<CFNumber>()?.as_i32());
        match (text(host), port.and_then(|port| u16::try_from(port).ok())) {
            (Some(host), Some(port)) => {
                ProxyEntry::Http { host, port, account: text(name).zip(text(password)) }
            }
            (Some(_) | None, _) => ProxyEntry::Other("HTTP without a host or a port".into()),
        }
    }

    type Answer = Option<Result<CFRetained<CFArray>, String>>;
    /// As `CFNetwork` calls it, but for the array, which is null beside an error.
    type Heard = unsafe extern "C-unwind" fn(NonNull<c_void>, *const CFArray, *mut CFError);

    /// What the PAC file answers for the target.
    #[expect(unsafe_code, reason = "CFNetwork calls back with raw pointers")]
    fn run(script: &CFURL, target: &CFURL) -> Result<Vec<CFRetained<Entry>>, String> {
        let heard: Heard = heard;
        // SAFETY: `NonNull<T>` and `*const T` are passed alike.
        let heard = unsafe {
            std::mem::transmute::<Heard, unsafe extern "C-unwind" fn(_, NonNull<CFArray>, _)>(heard)
        };
        let mut answer: Answer = None;
        let mut context = CFStreamClientContext {
            version: 0,
            info: (&raw mut answer).cast(),
            retain: None,
            release: None,
            copyDescription: None,
        };
        // SAFETY: the answer outlives the source, which is invalidated below.
        let source = unsafe {
            network::CFNetworkExecuteProxyAutoConfigurationURL(
                script,
                target,
                Some(heard),
                NonNull::from(&mut context),
            )
        };
        // SAFETY: a constant, set before anything of ours runs.
        let mode = unsafe { kCFRunLoopDefaultMode };
        let own = CFRunLoop::current().ok_or("this thread has no run loop")?;
        own.add_source(Some(&source), mode);
        let ended = CFRunLoop::run_in_mode(mode, PATIENCE, false);
        source.invalidate();
        match answer {
            Some(answer) => answer.map(of_array),
            None if ended == CFRunLoopRunResult::TimedOut => {
                Err(format!("the PAC file did not answer within {PATIENCE} seconds"))
            }
            None => Err("the PAC file gave no answer".into()),
        }
    }

    #[expect(unsafe_code, reason = "CFNetwork calls it with raw pointers")]
    unsafe extern "C-unwind" fn heard(
        context: NonNull<c_void>,
        proxies: *const CFArray,
        error: *mut CFError,
    ) {
        // SAFETY: the context is the answer that `run` waits for, on this very thread.
        let answer = unsafe { context.cast::<Answer>().as_mut() };
        // SAFETY: both are null or objects that live while this runs.
        let (proxies, error) = unsafe { (proxies.as_ref(), error.as_ref()) };
        *answer = Some(match (proxies, error) {
            (_, Some(error)) => Err(format!("the PAC file can't be used: {error}")),
            (Some(proxies), None) => Ok(objc2_core_foundation::Type::retain(proxies)),
            (None, None) => Err("the PAC file gave no answer".into()),
        });
        if let Some(own) = CFRunLoop::current() {
            own.stop();
        }
    }

    fn url_of(text: &str) -> Result<CFRetained<CFURL>, String> {
        CFURL::from_string(None, &CFString::from_str(text), None)
            .ok_or_else(|| format!("{text} is no URL to the system"))
    }
}
