//! English. The fields are the list of what a translation has to say; a text
//! with a number or a name in it is a function, so that each language can put
//! it where it belongs and form its own plurals.

use secure_chat_node::api::MessageState;

macro_rules! strings {
    ($($field:ident : $type:ty = $english:expr;)*) => {
        /// All words of the window in one language.
        pub(crate) struct Strings {
            $(pub(crate) $field: $type,)*
        }

        /// English.
        pub(crate) static ENGLISH: Strings = Strings { $($field: $english,)* };
    };
}

type Text = &'static str;

fn plural(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

strings! {
    // --- the program
    app_name: Text = "Secure Chat";
    tagline: Text = "Private conversations, straight from your machine to theirs. No company in between.";
    promise_encrypted: Text = "Only the two of you can read it";
    promise_encrypted_text: Text = "Every message is encrypted end to end, with keys that change all the time.";
    promise_direct: Text = "No servers to trust";
    promise_direct_text: Text = "Machines talk to each other. Helpers along the way only ever see sealed envelopes.";
    promise_yours: Text = "Yours alone";
    promise_yours_text: Text = "Your account lives on this machine, locked with your password. There is nothing to sign up for.";
    starting: Text = "Starting…";
    broken_title: Text = "Secure Chat can't start";
    close: Text = "Close";
    cancel: Text = "Cancel";
    dismiss: Text = "Dismiss";
    copied: Text = "Copied";
    next: Text = "Next";
    more: Text = "More";
    never: Text = "Never";
    now: Text = "now";
    add: Text = "Add";

    // --- time
    today: Text = "Today";
    yesterday: Text = "Yesterday";
    less_than_a_minute: Text = "less than a minute";
    minutes: fn(u64) -> String = |n| plural(n, "minute", "minutes");

    // --- getting in
    login_title: Text = "Welcome back";
    login_text: Text = "Unlock your account to read and write.";
    locked_text: Text = "This account is locked: nothing of it can be read without its password.";
    logged_out_text: Text = "You are logged out: keys and everything that was shown are wiped from memory.";
    other_accounts: Text = "Other accounts";
    username: Text = "Name";
    username_hint: Text = "How others find you";
    password: Text = "Password";
    password_again: Text = "Password again";
    passwords_differ: Text = "The two passwords are not the same.";
    password_rule: Text = "At least 8 characters: upper and lower case, a digit and a symbol.";
    password_strength: Text = "Password strength";
    strength_weak: Text = "Weak";
    strength_fair: Text = "Fair";
    strength_good: Text = "Good";
    strength_strong: Text = "Strong";
    unlock: Text = "Unlock";
    opening: Text = "Unlocking…";
    create_another: Text = "Create another account";
    back_to_login: Text = "Back to unlocking";
    create_title: Text = "Create your account";
    create_text: Text = "A name for others, and a password that stays with you.";
    create_account: Text = "Create account";
    creating: Text = "Making your keys…";
    no_recovery: Text = "Nobody can reset your password, so choose it well.";
    step: fn(usize, usize) -> String = |at, of| format!("Step {at} of {of}");
    onboard_invite_title: fn(&str) -> String = |name| format!("Hello, {name}");
    onboard_invite_text: Text = "This is your invite. Give it to somebody you trust: with it they can write to you, even without a directory.";
    onboard_rendezvous_title: Text = "Find and be found";
    onboard_rendezvous_text: Text = "A rendezvous node finds people by name and keeps sealed messages while you are away. It can't read anything.";
    onboard_connected: Text = "You are connected";
    onboard_connected_text: Text = "Others can find you by your name now.";
    go_on_without: Text = "Go on without";
    go_on_without_text: Text = "You can still chat by invite, and with people on your local network.";
    start_chatting: Text = "Start chatting";

    // --- invites
    invite: Text = "Your invite";
    invite_qr: Text = "Your invite as a QR code";
    invite_copy: Text = "Copy invite";
    invite_copied: Text = "Invite copied. Send it to somebody you trust.";
    invite_waits: Text = "Making your invite…";
    invite_text: Text = "Whoever has your invite can send you a chat request. You decide whether to accept.";
    share_invite: Text = "Share your invite";

    // --- the rail
    tab_chat: Text = "Chat";
    tab_network: Text = "Network";
    tab_profile: Text = "Profile";
    lock: Text = "Lock";
    log_out: Text = "Log out";
    lock_hint: Text = "Lock and hide everything  (Ctrl+L)";
    waiting_here: fn(u64) -> String = |n| format!("{n} new");
    notices: Text = "Notifications";
    notices_short: Text = "Alerts";
    notices_none: Text = "Nothing new. What needs your attention is kept here.";
    notices_clear: Text = "Clear all";
    presence: Text = "Presence";
    presence_online: Text = "Online";
    presence_away: Text = "Away";
    presence_invisible: Text = "Invisible";
    presence_invisible_detail: Text = "You appear offline to others";
    presence_hint: Text = "How others see you";
    reach_registered: Text = "Online";
    reach_peers: Text = "Direct";
    reach_connecting: Text = "Connecting";
    reach_alone: Text = "Offline";
    reach_registered_long: Text = "Online, and found by name";
    reach_peers_long: Text = "Connected to people, registered nowhere";
    reach_connecting_long: Text = "Connecting to a rendezvous node…";
    reach_alone_long: Text = "Connected to nobody";

    // --- the list of people
    messages: Text = "Messages";
    search: Text = "Search";
    search_hint: Text = "Search people and messages";
    search_people: Text = "Search people";
    searching: Text = "Searching…";
    nothing_found: Text = "Nothing found";
    found_people: Text = "PEOPLE";
    found_messages: Text = "MESSAGES";
    hit_in: fn(&str, &str) -> String = |name, text| format!("Message in {name}: {text}");
    you_said: fn(&str) -> String = |text| format!("You: {text}");
    list_empty: Text = "Nobody here yet.";
    list_no_messages: Text = "No messages yet";
    list_requested: Text = "Waiting for an answer";
    list_request_failed: Text = "Your request was not answered";
    list_wants_to_chat: Text = "Wants to chat with you";
    list_key_changed: Text = "Keys have changed";
    list_blocked: Text = "Blocked";
    typing_short: Text = "typing…";
    draft: fn(&str) -> String = |text| format!("Draft: {text}");
    spoken_muted: fn(&str) -> String = |name| format!("{name}, muted");
    spoken_unread: fn(&str, u64) -> String = |name, n| format!("{name}, {}", plural(n, "unread message", "unread messages"));
    request_from: fn(&str) -> String = |name| format!("Chat request from {name}");
    request_to: fn(&str) -> String = |name| format!("Your chat request to {name}");
    no_contacts_title: Text = "Say hello to somebody";
    no_contacts_text: Text = "Share your invite with a friend, or send a chat request to somebody you know by name.";
    choose_title: Text = "Choose a conversation";
    choose_text: Text = "Or press Ctrl+K to find somebody by name.";

    // --- a new chat
    new_chat: Text = "New chat";
    new_chat_text: Text = "Ask somebody for a chat by their name, or with an invite that they gave you.";
    new_chat_to: Text = "Name or invite";
    new_chat_to_hint: Text = "bob, or secure-chat:…";
    greeting: Text = "Greeting";
    greeting_hint: Text = "So that they know it's you (optional)";
    send_request: Text = "Send request";
    request_sent: fn(Option<&str>) -> String = |name| match name {
        Some(name) => format!("Request sent to {name}"),
        None => "Request sent".to_owned(),
    };
    online_users: Text = "Who is online";
    nobody_online: Text = "Nobody that you could see is online right now.";
    chat: Text = "Chat";
    chat_with: fn(&str) -> String = |name| format!("Chat with {name}");

    // --- requests
    request_title: fn(&str) -> String = |name| format!("{name} wants to chat with you");
    request_own_title: fn(&str) -> String = |name| format!("You asked {name} for a chat");
    request_advice: Text = "They learn nothing until you accept. Blocking ends all requests from them.";
    request_waits: Text = "You can write as soon as they accept. If they are offline, the request waits for them.";
    request_expired: Text = "Nobody answered in time.";
    request_failed: Text = "The request could not be delivered.";
    request_again: Text = "Ask again";
    request_cancel: Text = "Take back";
    fingerprint: Text = "FINGERPRINT";
    fingerprint_advice: Text = "Compare it over a phone call or in person to be sure who this is.";
    copy_fingerprint: Text = "Copy fingerprint";
    accept: Text = "Accept";
    decline: Text = "Decline";
    block: Text = "Block";

    // --- a conversation
    verified: Text = "Verified";
    encrypted: Text = "End-to-end encrypted";
    encrypted_short: Text = "Encrypted";
    blocked_short: Text = "Blocked";
    requested_short: Text = "Request sent";
    key_changed_short: Text = "Keys have changed";
    online: Text = "online";
    away: Text = "away";
    typing: Text = "typing…";
    group_typing: fn(&[&str]) -> String = |who| match who {
        [one] => format!("{one} is typing…"),
        [one, two] => format!("{one} and {two} are typing…"),
        _ => "several people are typing…".to_owned(),
    };
    last_seen: fn(&str) -> String = |when| format!("last seen {when}");
    search_in_chat: Text = "Search in this chat";
    close_search: Text = "Close search";
    older_hit: Text = "Older hit";
    newer_hit: Text = "Newer hit";
    hit_of: fn(usize, usize, bool) -> String =
        |at, of, more| if more { format!("{at} of {of}+") } else { format!("{at} of {of}") };
    unmute: Text = "Unmute";
    mute_8_hours: Text = "Mute for 8 hours";
    mute_for_good: Text = "Mute";
    unblock: Text = "Unblock";
    remove_contact: Text = "Remove contact";
    no_messages_title: Text = "This is the beginning";
    no_messages_text: Text = "Messages here are encrypted end to end. Nobody in between can read them.";
    unread_line: Text = "New";
    new_messages: fn(u64) -> String = |n| format!("{n} new");
    to_the_end: Text = "Latest messages";
    you: Text = "You";
    edited: fn(&str) -> String = |time| format!("edited {time}");
    deleted_message: Text = "This message was deleted";
    show_quoted: Text = "Show the message this answers";
    reply_to: Text = "Reply";
    quote_unknown: Text = "An earlier message";
    not_delivered: Text = "Not delivered";
    retry: Text = "Retry";
    react: Text = "React";
    react_more: Text = "React with another emoji";
    react_with: fn(&str) -> String = |name| format!("React with {name}");
    reaction: fn(&str, usize) -> String = |emoji, n| format!("{emoji} {n}");
    reply: Text = "Reply";
    copy_message: Text = "Copy message";
    open_link: fn(&str) -> String = |link| format!("Open {link}");
    edit: Text = "Edit";
    delete: Text = "Delete…";
    spoken_message: fn(&str, &str, &str, &str) -> String = |who, when, state, text| {
        if state.is_empty() { format!("{who}, {when}: {text}") } else { format!("{who}, {when}, {state}: {text}") }
    };
    spoken_caption: fn(&str, &str) -> String = |file, caption| format!("{file}. {caption}");
    spoken_warning: fn(&str, &str) -> String = |warning, message| format!("Warning: {warning} {message}");
    spoken_state: fn(MessageState) -> Text = |state| match state {
        MessageState::Queued => "on its way",
        MessageState::Sent => "sent",
        MessageState::Delivered => "delivered",
        MessageState::Read => "read",
        MessageState::Failed => "not delivered",
        MessageState::Received => "",
    };

    // --- writing
    write_message: Text = "Write a message";
    send: Text = "Send";
    emoji: Text = "Emoji";
    emoji_search: Text = "Search emoji";
    emoji_none: Text = "No emoji of that name";
    replying: Text = "Reply";
    editing: Text = "Edit message";
    room_left: fn(usize) -> String = |bytes| format!("Room for {bytes} more bytes");
    too_long: fn(usize) -> String = |bytes| format!("{bytes} bytes too long: split it into two messages");
    cannot_write: Text = "You can't write here.";
    cannot_write_key: Text = "Writing waits until you have decided about the new keys.";
    cannot_write_blocked: Text = "You blocked this person.";
    cannot_write_requested: Text = "You can write as soon as your request is accepted.";
    blocked_title: fn(&str) -> String = |name| format!("You blocked {name}");
    blocked_text: Text = "Their messages and requests are refused, and they are not told.";
    waiting_title: fn(&str) -> String = |name| format!("Waiting for {name} to accept");
    waiting_text: Text = "If they are offline, your request waits for them.";
    key_changed_title: fn(&str) -> String = |name| format!("The keys of {name} have changed");
    key_changed_text: fn(&str) -> String = |fingerprint| {
        let known = "This happens with a new machine or a new installation, but also when somebody pretends to be them. Ask them in person or over the phone before you go on.";
        if fingerprint.is_empty() { known.to_owned() } else { format!("{known}\nNew fingerprint: {fingerprint}") }
    };
    compare_number: Text = "Compare safety number";
    accept_key: Text = "Accept new keys";

    // --- safety numbers
    safety_number: Text = "Safety number";
    safety_text: fn(&str) -> String =
        |name| format!("Compare these digits with {name}, in person or over the phone. If both see the same, nobody sits in between.");
    safety_qr: Text = "Safety number as a QR code";
    safety_copy: Text = "Copy digits";
    verify: Text = "Mark as verified";
    unverify: Text = "Take the mark back";

    // --- what was done
    contact_removed: fn(&str) -> String = |name| format!("{name} was removed");
    contact_blocked: fn(&str) -> String = |name| format!("{name} is blocked");
    contact_unblocked: fn(&str) -> String = |name| format!("{name} is no longer blocked");
    contact_verified: fn(&str) -> String = |name| format!("{name} is verified");
    contact_unverified: fn(&str) -> String = |name| format!("{name} is no longer marked as verified");
    contact_key_accepted: fn(&str) -> String = |name| format!("The new keys of {name} are accepted");
    contact_muted: fn(&str) -> String = |name| format!("{name} is muted");
    contact_unmuted: fn(&str) -> String = |name| format!("{name} is no longer muted");
    notice_request: fn(&str) -> String = |name| format!("{name} wants to chat with you");
    notice_accepted: fn(&str) -> String = |name| format!("You can now chat with {name}");
    notice_declined: fn(&str) -> String = |name| format!("{name} declined your chat request");
    notice_key_changed: fn(&str) -> String = |name| format!("The keys of {name} have changed");
    notice_name_conflict: fn(&str) -> String = |address| format!("Somebody else has your name at {address}");
    notify_message: Text = "New message";
    notify_request: Text = "New chat request";
    notify_security: Text = "Something needs your attention";

    // --- questions
    link_title: Text = "Open this link?";
    link_text: Text = "It opens in your browser, and whoever runs the site sees your address.";
    link_odd: Text = "This address has letters that can look like others. Check it twice.";
    link_open: Text = "Open link";
    link_copy: Text = "Copy link";
    open_chat: Text = "Open chat";
    confirm_block_title: Text = "Block this person?";
    confirm_block: fn(&str) -> String =
        |name| format!("Messages and requests of {name} are refused from now on. They are not told.");
    confirm_remove_title: Text = "Remove this contact?";
    confirm_remove: fn(&str) -> String =
        |name| format!("{name} can no longer write to you without a new request.");
    confirm_delete_title: Text = "Delete this message?";
    confirm_delete: Text = "It is deleted on this machine only.";
    confirm_delete_own: Text = "For everyone: they are asked to delete it, too, which can't be enforced.";
    delete_here: Text = "Delete here";
    delete_everywhere: Text = "Delete for everyone";
    confirm_rendezvous_title: Text = "Leave this rendezvous node?";
    confirm_rendezvous: Text = "You won't be found there by name any longer, and sealed messages that wait there are lost.";
    confirm_key_title: Text = "Accept the new keys?";
    confirm_key: fn(&str) -> String =
        |name| format!("Only do so if {name} told you in person or over the phone that this is their fingerprint:");

    // --- finding
    finder: Text = "Find";
    finder_hint: Text = "A person or an action";
    shortcuts: Text = "Keyboard shortcuts";
    shortcut_table: &'static [(&'static str, &'static str)] = &[
        ("Ctrl+K", "Find a person or an action"),
        ("Ctrl+1 … 6", "Go to a tab"),
        ("Ctrl+N", "New chat"),
        ("Ctrl+F", "Search in this chat or page"),
        ("Ctrl+L", "Lock and hide everything"),
        ("Enter", "Send"),
        ("Shift+Enter", "New line"),
        ("↑", "Edit your last message"),
        ("Esc", "Close, or cancel a reply"),
        ("Tab", "Go to the next control"),
    ];

    // --- network
    network_text: Text = "How you reach others. Nothing here can read your messages.";
    connections: Text = "Connections";
    connections_text: Text = "Machines that yours is connected to now.";
    connections_none: Text = "None yet.";
    mail_held_back: fn(&str, &str, u64) -> String =
        |name, why, seconds| format!("Mail for {name} waits: {why}. Offered again in {seconds} s.");
    and_more: fn(usize) -> String = |n| format!("and {n} more");
    registered_at: Text = "Registered at";
    reachability: Text = "From outside";
    relays: Text = "Relays";
    nat_public: Text = "Reachable";
    nat_private: Text = "Behind a router";
    nat_unknown: Text = "Not known";
    rendezvous_nodes: Text = "Rendezvous nodes";
    rendezvous_text: Text = "They find people by name, and keep sealed messages for those who are away.";
    rendezvous_none: Text = "None: you can chat by invite and on your local network.";
    rendezvous_address: Text = "Address of a rendezvous node";
    rendezvous_hint: Text = "/ip4/…/tcp/4001/p2p/12D3…";
    rendezvous_add: Text = "Add rendezvous node";
    rendezvous_added: Text = "Rendezvous node added";
    rendezvous_removed: Text = "Rendezvous node removed";
    rendezvous_remove: Text = "Leave rendezvous node";
    state_registered: Text = "Registered";
    state_connected: Text = "Connected";
    state_connecting: Text = "Connecting…";
    state_refused: Text = "Refused";
    state_unreachable: Text = "Unreachable";
    in_this_process: Text = " · hosted here";
    host_here: Text = "Host one here";
    hosting_here: Text = "Hosting a node here";
    host_here_detail: Text = "Runs a rendezvous node inside this window, for as long as it is open.";
    stop_hosting: Text = "Stop hosting";
    copy_address: Text = "Copy address";
    a_rendezvous_node: Text = "Rendezvous node";
    somebody: Text = "Somebody";
    route_direct: Text = "direct";
    route_relayed: Text = "relayed";
    dial: Text = "Connect";
    dial_address: Text = "Address to connect to";
    dial_hint: Text = "/ip4/…/tcp/…/p2p/12D3…";
    dialled: Text = "Connected";
    traffic: Text = "Traffic";
    traffic_none: Text = "The plot begins with the first bytes.";
    received: Text = "Received";
    sent: Text = "Sent";
    kib: Text = "KiB";
    diagnostics: Text = "Diagnostics";
    diagnostics_text: Text = "For a report of trouble. It holds no names, addresses or keys of anybody.";
    diagnostics_copy: Text = "Copy diagnostics";
    own_addresses: Text = "Your addresses";
    own_addresses_text: Text = "Where others can reach this machine directly.";
    own_addresses_none: Text = "Not listening yet.";
    peer_id: Text = "PEER ID";

    // --- profile and settings
    profile_text: Text = "Who you are to others, and how the window behaves.";
    session: Text = "SESSION";
    session_since: fn(&str, &str) -> String = |when, length| format!("Unlocked {when} ({length} ago)");
    locks_in: fn(&str) -> String = |time| format!("Locks itself in {time} without you");
    quick_actions: Text = "QUICK ACTIONS";
    settings: Text = "Settings";
    look: Text = "Theme";
    look_dark: Text = "Dark";
    look_light: Text = "Light";
    look_system: Text = "As the desktop";
    scale: Text = "Size of everything";
    reduced_motion: Text = "Reduced motion";
    reduced_motion_text: Text = "Nothing moves by itself";
    notifications: Text = "Desktop notifications";
    notifications_text: Text = "How much they tell to whoever sees your screen";
    notify_off: Text = "Off";
    notify_hidden: Text = "\"New message\"";
    notify_content: Text = "Who wrote what";
    receipts: Text = "Read receipts";
    receipts_text: Text = "Others see when you have read their messages";
    typing_setting: Text = "Typing indicator";
    typing_setting_text: Text = "Others see that you are writing";
    presence_setting: Text = "Presence";
    presence_setting_text: Text = "Contacts see when you are online";
    addresses_setting: Text = "Direct connections";
    addresses_setting_text: Text = "Contacts learn where your machine can be reached";
    encrypt_received: Text = "Keep received files encrypted";
    encrypt_received_text: Text = "Sealed in the data directory, until you save a copy that can be read";
    file_types: Text = "Types of files";
    file_types_text: Text = "Which may be shared and fetched";
    file_types_known: Text = "well known ones";
    file_types_all: Text = "all of them";
    upload_limit: Text = "Files for people who are away";
    upload_limit_text: Text = "Longer ones wait here until they are back; shorter ones are left sealed at your rendezvous nodes";
    upload_none: Text = "none";
    upload_up_to: fn(&str) -> String = |size| format!("up to {size}");
    download_folder: Text = "Folder for received files";
    download_folder_text: Text = "Files are saved there unless you say otherwise. Leave it empty for your own folder of downloads.";
    download_folder_hint: Text = "/home/you/Received";
    download_folder_set: Text = "Use this folder";
    download_folder_part: Text = "Give the whole path of the folder, from its beginning.";
    who_may_request: Text = "Chat requests";
    who_may_request_text: Text = "Who may ask you for a chat";
    requests_everyone: Text = "from everybody";
    requests_invited: Text = "with my invite only";
    requests_nobody: Text = "from nobody";
    auto_lock: Text = "Lock by itself";
    auto_lock_text: Text = "After this time without you";
    about_version: fn(&str) -> String = |version| format!("Secure Chat {version}");
    about_artwork: Text = "Emoji artwork by Twemoji (CC-BY 4.0). Icons by Lucide (ISC). Set in Inter (OFL 1.1).";

    // --- groups
    tab_groups: Text = "Groups";
    group_invited_by: fn(Option<&str>) -> String = |by| match by {
        Some(by) => format!("{by} invites you"),
        None => "You are invited".to_owned(),
    };
    group_invites_to: fn(&str, &str) -> String = |who, name| format!("{who} invites you to {name}");
    group_waits: Text = "Waits for a leader of the group to let you in";
    group_was_left: Text = "You are no longer in this group";
    group_cannot_write: Text = "You are not in this group.";
    group_delete_here: Text = "Delete here";
    rekey: Text = "New vault keys";
    rekey_text: Text = "Everything in the vault is sealed anew under fresh keys. Do this if somebody may have copied them.";
    groups_none: Text = "No groups yet.";
    groups_none_title: Text = "Talk with several people";
    groups_none_text: Text = "Make a group for your family or team, or find a public one.";
    groups_choose_title: Text = "Choose a group";
    groups_choose_text: Text = "Or make a new one, or find one that is public.";
    group_new: Text = "New group";
    group_new_text: Text = "Only members can read what is written in it. You can invite people afterwards.";
    group_find: Text = "Find a group";
    group_name: Text = "Name of the group";
    group_name_hint: Text = "Reading circle";
    group_description: Text = "Description";
    group_description_hint: Text = "What it is for (optional)";
    group_join: Text = "WHO CAN JOIN";
    join_kind: fn(&str) -> Text = |join| match join {
        "open" => "Anybody",
        "approval" => "After approval",
        _ => "By invite only",
    };
    group_public: Text = "Can be found";
    group_public_text: Text = "Its name and description are listed at your rendezvous nodes";
    group_create: Text = "Create group";
    group_search: Text = "Search public groups";
    group_search_hint: Text = "Search public groups";
    group_found_none: Text = "No public group of that name.";
    group_invite_link: Text = "Invite link";
    group_invite_link_hint: Text = "Or paste an invite link";
    group_join_now: Text = "Join";
    group_ask_to_join: Text = "Ask to join";
    group_joined_already: Text = "Joined";
    group_join_pending: Text = "Asked to join: a leader of the group decides";
    group_join_done: Text = "You have joined";
    group_joined: fn(&str) -> String =
        |name| if name.is_empty() { "You are in a new group".to_owned() } else { format!("You are now in {name}") };
    group_left: fn(&str) -> String =
        |name| if name.is_empty() { "You are no longer in a group".to_owned() } else { format!("You are no longer in {name}") };
    group_wants_in: fn(&str, &str) -> String = |who, name| format!("{who} wants to join {name}");
    group_invited: fn(&str) -> String = |name| format!("{name} is invited");
    group_invite: Text = "Invite people";
    group_invite_whom: Text = "Whom to invite";
    group_invite_whom_hint: Text = "Somebody by name";
    group_invite_qr: Text = "Invite to the group as a QR code";
    group_make_link: Text = "Make an invite link";
    group_settings: Text = "Group settings";
    group_leave: Text = "Leave group";
    group_requests: Text = "WANT TO JOIN";
    group_want_in: fn(u64) -> String =
        |n| if n == 1 { "1 person wants to join".to_owned() } else { format!("{n} people want to join") };
    group_approve: Text = "Approve";
    group_reject: Text = "Reject";
    group_status: fn(u64, u64) -> String = |members, online| {
        let members = plural(members, "member", "members");
        if online == 0 { members } else { format!("{members} · {online} online") }
    };
    group_named: fn(&str) -> String = |name| format!("Group {name}");
    a_group: Text = "a group";
    members: Text = "Members";
    close_members: Text = "Close members";
    member_count: fn(u64) -> String = |n| plural(n, "member", "members");
    role: fn(&str) -> Text = |role| match role {
        "owner" => "Owner",
        "admin" => "Admin",
        _ => "Member",
    };
    make_admin: Text = "Make admin";
    make_member: Text = "Take admin role back";
    make_owner: Text = "Hand the group over…";
    remove_member: Text = "Remove from group";
    ban_member: Text = "Remove and ban";
    confirm_leave_title: Text = "Leave this group?";
    confirm_leave: fn(&str) -> String =
        |name| format!("You no longer get messages of {name}. What you have stays readable.");
    confirm_member_title: Text = "Remove this member?";
    confirm_member: Text = "They can read nothing that is written from now on.";
    confirm_transfer_title: Text = "Hand the group over?";
    confirm_transfer: Text = "They become the owner, and only they can give it back.";

    // --- files
    tab_files: Text = "Files";
    files_text: Text = "What you and others have shared. Encrypted on the way, and while it waits.";
    files_none_title: Text = "Nothing shared yet";
    files_none_text: Text = "Drop a file onto the window, or choose one, to share it with a person or a group.";
    files_wait: Text = "Reading the list…";
    files_all: Text = "All";
    files_personal: Text = "Personal";
    files_groups: Text = "Groups";
    files_search: Text = "Search files";
    order: Text = "Order";
    order_newest: Text = "Newest first";
    order_name: Text = "By name";
    order_largest: Text = "Largest first";
    order_expiry: Text = "Expires soon";
    share_file: Text = "Share a file";
    share_text: Text = "They are told at once, and fetch it when they want to.";
    share_path_hint: Text = "/home/…, or drop a file onto the window";
    share_with: Text = "Share with";
    share_now: Text = "Share";
    choose_recipient: Text = "Choose…";
    caption: Text = "Caption";
    caption_hint: Text = "A few words (optional)";
    expires: Text = "Can be fetched for";
    expiry: fn(&str) -> Text = |expires| match expires {
        "24h" => "24 hours",
        "1w" => "A week",
        _ => "Ever",
    };
    file_path: Text = "Path of the file";
    copy_path: Text = "Copy path";
    save: Text = "Save";
    save_as: Text = "Save as…";
    very_long_to_share: Text = "This file is very long: sending it takes hours on most lines. Share it if that is meant.";
    very_long_to_save: fn(&str) -> String =
        |size| format!("This file is very long ({size}). Fetch it only if you have the room and the time.");
    share_anyway: Text = "Share it anyway";
    save_copy: Text = "Save a copy…";
    save_copy_text: Text = "The file is kept encrypted here. Whoever gets to the folder can read the copy.";
    keep_encrypted: Text = "Keep it here, encrypted";
    keep_encrypted_text: Text = "Sealed in the data directory, where nobody else can read it. You can save a readable copy at any time.";
    or_save_copy: Text = "OR SAVE A COPY THAT CAN BE READ";
    file_kept: Text = "here, kept encrypted";
    save_anyway: Text = "Save it anyway";
    risky_to_open: Text = "This kind of file can run a program when it is opened. Save it only if you expected it.";
    risky_to_share: Text = "This kind of file can run a program: they will be warned.";
    open_folder: Text = "Open folder";
    file_delete: Text = "Delete file";
    file_cancel: Text = "Cancel transfer";
    upload_stop: Text = "Stop leaving it at rendezvous nodes";
    upload_retry: Text = "Try again";
    file_pause: Text = "Pause";
    file_resume: Text = "Go on";
    file_paused: Text = "paused";
    file_shared: Text = "The file is shared";
    file_failed: Text = "The transfer did not finish.";
    file_came: fn(&str, &str) -> String = |from, name| format!("{from} shares {name}");
    file_completed: fn(&str) -> String = |name| format!("{name} is complete");
    file_downloaded_by: fn(&str, &str) -> String = |by, name| format!("{by} has fetched {name}");
    file_saved: fn(&str) -> String = |path| format!("Saved as {path}");
    file_to: fn(&str) -> String = |to| format!("to {to}");
    file_from: fn(&str) -> String = |from| format!("from {from}");
    file_from_in: fn(&str, &str) -> String = |from, group| format!("from {from} in {group}");
    file_expired: Text = "expired";
    file_expires_in: fn(&str) -> String = |time| format!("expires in {time}");
    file_downloads: fn(u64) -> String = |n| format!("fetched {}", if n == 1 { "once".to_owned() } else { format!("{n} times") });
    file_state: fn(&str) -> String = |state| match state {
        "shared" | "offered" => String::new(),
        "changed" => "the file on your disk was changed or moved".to_owned(),
        "waiting" => "waits until somebody who has it is there".to_owned(),
        "downloading" => "on its way".to_owned(),
        "completed" => "here, whole and verified".to_owned(),
        other => other.replace('_', " "),
    };
    file_waits_at: fn(u64) -> String = |n| format!("waits at {}", plural(n, "rendezvous node", "rendezvous nodes"));
    file_progress: fn(u32) -> String = |percent| format!("{percent} % there");
    of_bytes: fn(&str, &str) -> String = |done, total| format!("{done} of {total}");
    per_second: fn(&str) -> String = |bytes| format!("{bytes}/s");
    time_left: fn(&str) -> String = |time| format!("{time} left");
    confirm_file_title: Text = "Delete this file?";
    confirm_file: fn(&str) -> String =
        |name| format!("{name} can no longer be fetched from here. Copies that were saved stay.");

    // --- security
    tab_security: Text = "Security";
    security_text: Text = "What happened to this account, and how it stands with its keys.";
    fact_sessions: Text = "Sessions";
    fact_prekeys: Text = "Prekeys left";
    fact_verified: Text = "Verified contacts";
    fact_chain: Text = "Audit log";
    chain_whole: Text = "Unbroken";
    chain_broken: Text = "Broken";
    chain_broken_text: Text = "Entries of the log were changed or removed behind this program's back.";
    of: fn(&str, &str) -> String = |part, all| format!("{part} of {all}");
    keys_and_vault: Text = "Keys and vault";
    keys_and_vault_text: Text = "Since when your keys are in use, and what the vault holds.";
    // Names that the node gives, in words; others stand as they are.
    fact: fn(&str) -> String = |name| match name {
        "Key ages · identity" => "Identity key since".to_owned(),
        "Key ages · signed prekey" => "Signed prekey since".to_owned(),
        "Vault · audit entries" => "Entries of the log".to_owned(),
        "Vault" => "Vault on the disk".to_owned(),
        "Vault · kdf memory kib" => "Password hashing, memory (KiB)".to_owned(),
        "Vault · kdf passes" => "Password hashing, passes".to_owned(),
        other => other.to_owned(),
    };
    yes: Text = "yes";
    no: Text = "no";
    suspicious: Text = "Suspicious activity";
    suspicious_text: Text = "What somebody may have tried, and what you should know about it.";
    suspicious_none: Text = "Nothing suspicious.";
    alert_dismiss: Text = "I have seen this";
    times: fn(u64) -> String = |n| format!(" · {n} times");
    log_title: Text = "Audit log";
    log_text: Text = "Every entry is chained to the one before it, and sealed in your vault.";
    log_search: Text = "Search the log";
    log_none: Text = "No entries.";
    log_waits: Text = "Reading the log…";
    severity_filter: Text = "Severity";
    severity: fn(Option<&str>) -> Text = |severity| match severity {
        Some("critical") => "Critical",
        Some("warning") => "Warnings",
        Some(_) => "Usual",
        None => "Everything",
    };
    log_time: Text = "Time";
    log_days: fn(Option<u32>) -> String = |days| match days {
        None => "Any time".to_owned(),
        Some(1) => "Last day".to_owned(),
        Some(days) => format!("Last {days} days"),
    };
    activity: Text = "Activity";
    activity_text: Text = "Entries of the log on each day of the last two weeks.";
    activity_cut: Text = "Entries of the log in the last two weeks: there are too many to count them all.";
    activity_usual: Text = "Usual";
    activity_notable: Text = "Warnings and worse";
    export_title: Text = "Export and clear";
    export_text: Text = "An exported log can be read by anybody who gets the file.";
    log_path: Text = "Path of the file";
    export: Text = "Export";
    exported: fn(u64, &str) -> String = |n, path| format!("{} written to {path}", plural(n, "entry", "entries"));
    clear_log: Text = "Clear log";
    clear_log_text: Text = "Clearing leaves one entry that says so.";
    audit_cleared: Text = "The log is cleared";
    confirm_clear_title: Text = "Clear the audit log?";
    confirm_clear: Text = "All entries are gone for good. Export them first if you may need them.";

    // --- the account as a whole
    account: Text = "ACCOUNT";
    change_password: Text = "Change password";
    change_password_text: Text = "The new password opens this account from now on.";
    old_password: Text = "Current password";
    new_password: Text = "New password";
    new_password_again: Text = "New password again";
    password_changed: Text = "The password is changed";
    rekeyed: Text = "The vault has new keys";
    export_backup: Text = "Export a backup";
    export_backup_text: Text = "Your keys, contacts and history in one file, sealed under a passphrase of its own.";
    backup_written: fn(&str) -> String = |path| format!("Backup written to {path}");
    backup_path_hint: Text = "Path of the backup";
    passphrase: Text = "Passphrase of the backup";
    passphrase_again: Text = "Passphrase again";
    import_backup: Text = "Import a backup";
    import_backup_text: Text = "Brings an account back. Use it on one machine only.";
    backup_imported: Text = "The account is back: unlock it with its new password";
    wipe: Text = "Wipe account";
    wipe_text: Text = "Everything of this account on this machine is destroyed: keys, contacts and messages. Only a backup brings it back.";
    wipe_type: fn(&str) -> String = |name| format!("Type {name} to confirm");
    wipe_now: Text = "Wipe everything";
    account_wiped: Text = "The account is wiped";

    // --- the desktop
    browse_short: Text = "Browse…";
    browse: Text = "Choose a file…";
    browse_place: Text = "Choose where…";
    no_chooser: Text = "This desktop has no file chooser (its xdg-desktop-portal is missing). Type the path, or drop the file onto the window.";
    picture_kept: fn(&str) -> String = |path| format!("The picture is kept as {path}");
    picture_not_kept: fn(&str) -> String = |error| format!("The picture could not be kept: {error}");
    pasted_picture: fn(&str) -> String = |when| format!("Pasted {when}.png");
    file_in_message: fn(&str) -> String = |name| format!("File {name}");
    download: Text = "Download";
    mention: fn(&str) -> String = |name| format!("Mention {name}");

    // --- bans and links of groups
    banned: Text = "BANNED";
    members_section: Text = "MEMBERS";
    unban: Text = "Lift the ban";
    confirm_ban_title: Text = "Remove and ban this member?";
    confirm_ban: Text = "They can read nothing that is written from now on, and can't come back until the ban is lifted.";
    group_links: Text = "OPEN LINKS";
    link_by: fn(&str) -> String = |by| format!("by {by}");
    link_ends: fn(&str) -> String = |time| format!("ends in {time}");
    link_for_good: Text = "does not end";
    link_revoke: Text = "Revoke link";
    link_revoked: Text = "The link lets nobody in any longer";
    group_list_search: Text = "Search groups";

    // --- what was set aside, and sessions
    set_aside: Text = "Quarantine";
    set_aside_text: Text = "Chat requests that look like spam or a trick are set aside here, unseen. Nobody is told.";
    set_aside_none: Text = "Nothing was set aside.";
    set_aside_reason: fn(&str) -> Text = |reason| match reason {
        "link" => "has a link",
        "repeated" => "asked again and again",
        "looks_like_contact" => "its name looks like that of a contact",
        _ => "set aside by hand",
    };
    release: Text = "Show request";
    released: Text = "The request is among your chats now";
    discard: Text = "Delete request";
    sessions_title: Text = "Encrypted sessions";
    sessions_text: Text = "One with each contact. Its keys change with every message.";
    sessions_none: Text = "None yet: a session begins with the first contact.";
    session_none: Text = "no session";
    session_of: fn(&str, &str) -> String = |since, used| format!("since {since} · last used {used}");
    reset_session: Text = "Reset session";
    session_reset: fn(&str) -> String = |user| format!("The session with {user} starts anew");
    confirm_reset_title: Text = "Reset this session?";
    confirm_reset: fn(&str) -> String =
        |user| format!("New keys are agreed on with {user}. Do this when messages can't be read. The safety number stays the same.");
    theme_dark: Text = "Dark theme";
    theme_light: Text = "Light theme";
    rendezvous_add_action: Text = "Add a rendezvous node";
}
