//! Joining a cluster. A link becomes an invitation, which waits until the person accepts or declines it. A
//! typed code joins immediately. A machine that belongs to a cluster must leave it first.

use protocol::join::{Join, JoinCode};
use uuid::Uuid;

use super::App;
use super::invitation::Invitation;
use super::mode::Mode;
use super::state::State;
use super::view::{InvitationView, Membership};

const MANAGED: &str = "Managed by your organization: links and join codes are ignored.";
/// Characters per group of a displayed pin, so that people can compare it.
const PIN_GROUP: usize = 4;

/// Result of a link or code that a person entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joining {
    /// Joining has started.
    Started,
    /// It was a link: the person accepts or declines the invitation.
    Invited,
}

impl App {
    /// Shows the invitation of a link and replaces an earlier invitation. Has no other effect.
    ///
    /// # Errors
    /// The text is not a link.
    pub fn invite(&self, link: &str) -> Result<(), String> {
        let code = link.parse::<JoinCode>();
        self.shared.change(|state| match code {
            Ok(code) => {
                state.invite(code);
                Ok(())
            }
            Err(error) => {
                state.facts.join_note = Some(format!("A link could not be opened: {error}"));
                Err(error.to_string())
            }
        })
    }

    /// Joins the cluster of the invitation with this id.
    ///
    /// # Errors
    /// Returns a message: the invitation no longer exists, or this machine can't join.
    pub fn accept(&self, id: &str) -> Result<(), String> {
        self.shared.change(|state| {
            let invitation = state.invitation.as_ref().filter(|invitation| invitation.id == id);
            let gone = "This invitation has expired. Open the link again.";
            let code = invitation.ok_or(gone)?.code.clone();
            state.join(Join::Link(Box::new(code)))
        })?;
        self.apply();
        Ok(())
    }

    /// Declines the invitation with this id, or the current one without an id.
    pub fn decline(&self, id: Option<&str>) {
        self.shared.change(|state| {
            let is_meant = |invitation: &mut Invitation| id.is_none_or(|id| invitation.id == id);
            state.invitation.take_if(is_meant);
        });
    }

    /// Accepts pasted or typed text: a link becomes an invitation, a typed code joins.
    ///
    /// # Errors
    /// Returns a message: the text is no join code, or this machine can't join. The view shows whether the
    /// coordinator accepts the code.
    pub fn join(&self, text: &str) -> Result<Joining, String> {
        match parsed(text)? {
            Join::Link(code) => {
                self.shared.change(|state| state.invite(*code));
                Ok(Joining::Invited)
            }
            typed @ Join::Typed(_) => {
                self.shared.change(|state| state.join(typed))?;
                self.apply();
                Ok(Joining::Started)
            }
        }
    }

    /// Joins by a link or code from the command line of an app without windows. Starting the app this
    /// way is the confirmation.
    ///
    /// # Errors
    /// The same as for [`App::join`].
    pub fn join_without_windows(&self, text: &str) -> Result<(), String> {
        let join = parsed(text)?;
        self.shared.change(|state| state.join(join))?;
        self.apply();
        Ok(())
    }

    /// Leaves the cluster and destroys the worker's data. Returns a message that describes the result.
    ///
    /// # Errors
    /// Returns a message that names what can't be removed.
    pub async fn leave(&self) -> Result<String, String> {
        let _turn = self.turn.lock().await;
        self.stop_worker().await;
        let (folder, url) = self
            .shared
            .read(|state| (state.worker_folder(), state.settings.coordinator_url.value.clone()));
        let left = crate::commands::leave::leave(&folder, url).await;
        self.shared.change(|state| {
            state.facts.status = None;
            state.facts.join_note = None;
            state.facts.membership = Membership::None { problem: None };
        });
        left.map(|left| crate::commands::leave::report_text(&left))
            .map_err(|error| error.to_string())
    }
}

fn parsed(text: &str) -> Result<Join, String> {
    text.trim().parse().map_err(|error| format!("{error}"))
}

impl State {
    fn invite(&mut self, code: JoinCode) {
        if self.settings.is_cluster_managed() {
            tracing::warn!(cluster = code.cluster_name, "{MANAGED}");
            let name = shown(&code.cluster_name);
            self.facts.join_note = Some(format!(
                "{MANAGED} A link to the cluster \u{201c}{name}\u{201d} was ignored."
            ));
        }
        self.invitation = Some(Invitation { id: Uuid::new_v4().simple().to_string(), code });
    }

    /// Stores the code for the worker and makes this machine a worker.
    fn join(&mut self, join: Join) -> Result<(), String> {
        if let Some(obstacle) = self.obstacle() {
            return Err(obstacle);
        }
        match self.mode() {
            Some(Mode { worker: true, .. }) => {}
            chosen @ (Some(_) | None) => {
                let coordinator = chosen.is_some_and(|mode| mode.coordinator);
                self.choose(Mode { worker: true, coordinator })?;
            }
        }
        self.code = Some(join);
        self.invitation = None;
        self.facts.join_note = None;
        self.facts.membership = Membership::Joining;
        Ok(())
    }

    /// Returns the reason why this machine can't join a cluster now.
    fn obstacle(&self) -> Option<String> {
        if self.settings.is_cluster_managed() {
            return Some(MANAGED.to_owned());
        }
        match worker::belongs_to(&self.worker_folder(), self.options.instance) {
            Ok(None) => None,
            Ok(Some(cluster)) => Some(self.belongs_to(&cluster.name)),
            Err(error) => Some(error.to_string()),
        }
    }

    pub(super) fn belongs_to(&self, cluster: &str) -> String {
        let (machine, cluster) = (self.facts.device.machine(), shown(cluster));
        format!(
            "This {machine} belongs to the cluster \u{201c}{cluster}\u{201d}. Leave it first \
             (Settings \u{2192} Leave the cluster), then open the link or enter the code again."
        )
    }

    pub(super) fn invitation_view(&self) -> Option<InvitationView> {
        let Invitation { id, code } = self.invitation.as_ref()?;
        let pin: Vec<char> = code.pin.to_string().chars().collect();
        Some(InvitationView {
            id: id.clone(),
            cluster: shown(&code.cluster_name),
            pin: pin.chunks(PIN_GROUP).map(|group| group.iter().collect()).collect(),
            addresses: code.addresses.iter().map(|address| shown(address)).collect(),
            obstacle: self.obstacle(),
        })
    }
}

/// Returns text of a link without hidden or direction-changing characters.
fn shown(text: &str) -> String {
    let visible = |c: char| {
        let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}');
        let joins = matches!(c, '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}');
        if c.is_control() || turns || joins { '\u{fffd}' } else { c }
    };
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use platform::managed::Managed;
    use protocol::Pin;
    use protocol::join::JoinSecret;
    use tokio::runtime::Handle;

    use super::*;
    use crate::app::Options;
    use crate::settings::{Key, Places};

    fn code(number: u128) -> JoinCode {
        JoinCode {
            cluster_name: format!("cluster {number}"),
            cluster_id: Uuid::from_u128(number),
            addresses: vec!["127.0.0.1:1".into()],
            pin: Pin::from_bytes([7; 32]),
            secret: JoinSecret::from_bytes([9; 10]),
        }
    }

    fn app(folder: &Path, managed: &[(Key, &str)]) -> App {
        let forced = managed.iter().map(|(key, value)| (key.name().to_owned(), (*value).into()));
        let managed = Managed::Forced(forced.collect());
        let options = Options {
            data_dir: folder.join("data"),
            places: Places { user: Some(folder.join("settings.toml")), managed },
            program: folder.join("constellation"),
            listen: "127.0.0.1:0".parse().unwrap(),
            instance: 0,
            login_item: None,
            updates: None,
            notes: Vec::new(),
        };
        App::start(options, Handle::current()).unwrap()
    }

    fn invitation(app: &App) -> Option<InvitationView> {
        app.views().borrow().invitation.clone()
    }

    /// Returns whether the machine is or becomes a worker.
    fn is_joining(app: &App) -> bool {
        app.shared.read(|state| state.code.is_some() || state.mode().is_some())
    }

    #[tokio::test]
    async fn a_link_changes_nothing_until_it_is_accepted_by_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(folder.path(), &[]);
        assert!(app.invite("constellation://join/garbage").is_err());
        assert_eq!(invitation(&app), None);
        app.invite(&code(1).link()).unwrap();
        let first = invitation(&app).unwrap();
        assert_eq!((first.cluster.as_str(), &first.obstacle), ("cluster 1", &None));
        assert_eq!(first.pin.concat(), code(1).pin.to_string());
        assert_eq!((first.pin[0].len(), first.pin.len()), (4, 11));
        assert!(!is_joining(&app));

        // A second link arrives while the first is shown: an answer to the first does not apply to it.
        assert_eq!(app.join(&code(2).link()), Ok(Joining::Invited));
        assert!(app.accept(&first.id).unwrap_err().contains("expired"));
        app.decline(Some(&first.id));
        let second = invitation(&app).unwrap();
        assert_eq!(second.cluster, "cluster 2");
        assert!(!is_joining(&app));
        app.decline(Some(&second.id));
        assert_eq!(invitation(&app), None);

        app.invite(&code(1).link()).unwrap();
        app.accept(&invitation(&app).unwrap().id).unwrap();
        assert_eq!(invitation(&app), None);
        assert!(is_joining(&app));
        app.stop().await;
    }

    #[tokio::test]
    async fn a_machine_whose_cluster_is_managed_ignores_links_and_codes_and_says_so() {
        let (url, link) = ("https://127.0.0.1:1", code(1).link());
        let pin = code(1).pin.to_string();
        let settings = [
            (Key::CoordinatorUrl, url),
            (Key::CoordinatorPin, pin.as_str()),
            (Key::EnrollmentCode, link.as_str()),
        ];
        for setting in settings {
            let folder = tempfile::tempdir().unwrap();
            let app = app(folder.path(), &[setting]);
            app.invite(&code(2).link()).unwrap();
            let shown = invitation(&app).unwrap();
            assert_eq!(shown.obstacle.as_deref(), Some(MANAGED), "{}", setting.0);
            assert_eq!(app.accept(&shown.id).unwrap_err(), MANAGED);
            assert_eq!(app.join("0123-4567-89ab-cdef").unwrap_err(), MANAGED);
            assert_eq!(app.join_without_windows(&code(2).link()).unwrap_err(), MANAGED);
            assert!(!is_joining(&app));
            let notes = app.views().borrow().notes.clone();
            assert!(notes.iter().any(|note| note.contains("“cluster 2”")), "{notes:?}");
            app.stop().await;
        }
    }

    #[test]
    fn nothing_of_a_name_hides_or_turns_what_stands_beside_it() {
        assert_eq!(shown("Büro Nord, 2. OG"), "Büro Nord, 2. OG");
        assert_eq!(
            shown("a\u{202e}b\u{200b}c\nd\u{2066}e"),
            "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e"
        );
    }
}
