//! System proxy settings: on macOS those of System Settings, including PAC files. Other systems have only
//! environment variables, which are not read here.

/// One entry of the system's list of proxies for a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyEntry {
    Direct,
    /// HTTP proxy that is used by CONNECT.
    Http {
        host: String,
        port: u16,
        /// Name and password.
        account: Option<(String, String)>,
    },
    /// Proxy of an unsupported kind, with the kind's name.
    Other(String),
}

/// Whether the settings name a proxy or a PAC file for this URL. Fast: evaluates no PAC file.
#[cfg(not(target_os = "macos"))]
pub fn are_set(_url: &str) -> bool {
    false
}

/// Returns the entries for this URL, by preference; empty if no proxy is set. May take seconds if a PAC
/// file has to be fetched and evaluated.
///
/// # Errors
/// A message about the settings or the PAC file.
#[cfg(not(target_os = "macos"))]
pub fn for_url(_url: &str) -> Result<Vec<ProxyEntry>, String> {
    Ok(Vec::new())
}

#[cfg(target_os = "macos")]
pub use macos::{are_set, for_url};

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

    /// Time limit in seconds for fetching and evaluating a PAC file.
    const PAC_TIMEOUT: f64 = 5.0;

    type Entry = CFDictionary<CFString, CFType>;

    /// Whether the settings name a proxy or a PAC file for this URL. Fast: evaluates no PAC file.
    pub fn are_set(url: &str) -> bool {
        let entries = url_of(url).map(|url| entries(&url)).unwrap_or_default();
        entries.iter().any(|entry| !matches!(kind(entry), Kind::Direct))
    }

    /// Returns the entries for this URL, by preference; empty if no proxy is set. May take seconds if a PAC
    /// file has to be fetched and evaluated.
    ///
    /// # Errors
    /// A message about the settings or the PAC file.
    pub fn for_url(url: &str) -> Result<Vec<ProxyEntry>, String> {
        let target = url_of(url)?;
        let mut found = Vec::new();
        for entry in entries(&target) {
            match kind(&entry) {
                Kind::Script(script) => {
                    for entry in run(&script, &target)? {
                        found.push(proxy_entry(&entry));
                    }
                }
                Kind::Direct | Kind::Http | Kind::Other(_) => found.push(proxy_entry(&entry)),
            }
        }
        Ok(found)
    }

    enum Kind {
        Direct,
        Http,
        /// URL of a PAC file.
        Script(CFRetained<CFURL>),
        Other(String),
    }

    /// Returns the settings' entries for this URL. The system applies exceptions and simple host names.
    #[expect(unsafe_code, reason = "CFNetwork's functions")]
    fn entries(target: &CFURL) -> Vec<CFRetained<Entry>> {
        // SAFETY: the call takes no arguments.
        let Some(settings) = (unsafe { network::CFNetworkCopySystemProxySettings() }) else {
            return Vec::new();
        };
        // SAFETY: the settings come from the call above.
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
            return Kind::Other("unknown".into());
        };
        let url = || entry.get(place).and_then(|url| url.downcast::<CFURL>().ok());
        match &*found {
            found if found == none => Kind::Direct,
            // Both use CONNECT; the second kind is for https URLs.
            found if found == http || found == https => Kind::Http,
            found if found == script => url().map_or(Kind::Direct, Kind::Script),
            found => Kind::Other(found.to_string()),
        }
    }

    #[expect(unsafe_code, reason = "the names are variables of CFNetwork's")]
    fn proxy_entry(entry: &Entry) -> ProxyEntry {
        match kind(entry) {
            Kind::Direct => return ProxyEntry::Direct,
            Kind::Other(kind) => return ProxyEntry::Other(kind),
            Kind::Script(_) => return ProxyEntry::Other("nested PAC file".into()),
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
    /// The callback's type in `CFNetwork`, except that the array is null if there is an error.
    type Callback = unsafe extern "C-unwind" fn(NonNull<c_void>, *const CFArray, *mut CFError);

    /// Evaluates a PAC file for the target.
    #[expect(unsafe_code, reason = "CFNetwork calls back with raw pointers")]
    fn run(script: &CFURL, target: &CFURL) -> Result<Vec<CFRetained<Entry>>, String> {
        let callback: Callback = on_result;
        // SAFETY: `NonNull<T>` and `*const T` have the same ABI.
        let callback = unsafe {
            std::mem::transmute::<Callback, unsafe extern "C-unwind" fn(_, NonNull<CFArray>, _)>(
                callback,
            )
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
                Some(callback),
                NonNull::from(&mut context),
            )
        };
        // SAFETY: a constant, set before anything of ours runs.
        let mode = unsafe { kCFRunLoopDefaultMode };
        let own = CFRunLoop::current().ok_or("this thread has no run loop")?;
        own.add_source(Some(&source), mode);
        let ended = CFRunLoop::run_in_mode(mode, PAC_TIMEOUT, false);
        source.invalidate();
        match answer {
            Some(answer) => answer.map(of_array),
            None if ended == CFRunLoopRunResult::TimedOut => {
                Err(format!("the PAC file gave no result within {PAC_TIMEOUT} seconds"))
            }
            None => Err("the PAC file gave no result".into()),
        }
    }

    #[expect(unsafe_code, reason = "CFNetwork calls it with raw pointers")]
    unsafe extern "C-unwind" fn on_result(
        context: NonNull<c_void>,
        proxies: *const CFArray,
        error: *mut CFError,
    ) {
        // SAFETY: the context is the answer that `run` waits for, on the same thread.
        let answer = unsafe { context.cast::<Answer>().as_mut() };
        // SAFETY: both are null or objects that live while this runs.
        let (proxies, error) = unsafe { (proxies.as_ref(), error.as_ref()) };
        *answer = Some(match (proxies, error) {
            (_, Some(error)) => Err(format!("the PAC file can't be used: {error}")),
            (Some(proxies), None) => Ok(objc2_core_foundation::Type::retain(proxies)),
            (None, None) => Err("the PAC file gave no result".into()),
        });
        if let Some(own) = CFRunLoop::current() {
            own.stop();
        }
    }

    fn url_of(text: &str) -> Result<CFRetained<CFURL>, String> {
        CFURL::from_string(None, &CFString::from_str(text), None)
            .ok_or_else(|| format!("{text} is not a valid URL"))
    }
}
