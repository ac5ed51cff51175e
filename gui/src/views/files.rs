//! The files tab: what was shared with whom, how far it is, and what to do with it.

use egui::{Align2, ComboBox, FontId, Rect, RichText, ScrollArea, Sense, Ui, pos2, vec2};
use lucide_icons::Icon;

use super::{Cx, page_heading, paths};
use crate::ask::files::{self, Deed, File};
use crate::state::{Confirm, Files, Intent, Order, Overlay, Progress, Recipient, Source, State, is_risky};
use crate::strings::tr;
use crate::text;
use crate::theme::{Palette, SMALL_PT, card, icons, medium};
use crate::widgets::{Field, PushButton, empty_state, error_text, icon_button, lines, muted, tailed};

/// Files shown at once; the search finds the others.
const SHOWN_MAX: usize = 2_000;
/// The height of a row without a transfer, in points.
const ROW_PT: f32 = 64.0;

/// What belongs to a file stands below its name: so far from the icon's left edge, in points.
const BESIDE_ICON_PT: f32 = 48.0;

/// Shows the tab.
pub(super) fn files(ui: &mut Ui, state: &mut State, cx: &mut Cx) {
    let mut share = |ui: &mut Ui, button: PushButton<'_>| {
        if ui.add(button.primary().icon(Icon::Share2)).clicked() {
            cx.say(Intent::Show(Overlay::Share { path: String::new(), to: Recipient::Nobody }));
        }
    };
    let heading = |ui: &mut Ui| page_heading(ui, tr().tab_files, tr().files_text);
    if state.files.loaded && state.files.list.is_empty() {
        // The one thing to do stands in the middle.
        heading(ui);
        empty_state(ui, Icon::FolderOpen, tr().files_none_title, tr().files_none_text, |ui| {
            share(ui, PushButton::new(tr().share_file).wide());
        });
        return;
    }
    tailed(ui, |ui| ui.vertical(heading), |ui| share(ui, PushButton::new(tr().share_file)));
    filters(ui, state, cx);
    let shown = state.files.shown();
    if shown.is_empty() {
        muted(ui, if state.files.loaded { tr().nothing_found } else { tr().files_wait });
        return;
    }
    card(ui).inner_margin(8).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = 2.0;
        let height = (ui.ctx().content_rect().height() - 230.0).max(220.0);
        ScrollArea::vertical().id_salt("files").max_height(height).auto_shrink([false, true]).show(ui, |ui| {
            for file in shown.into_iter().take(SHOWN_MAX) {
                row(ui, file, state, cx);
            }
        });
    });
}

fn filters(ui: &mut Ui, state: &mut State, cx: &mut Cx) {
    let Files { source, query, order, .. } = &mut state.files;
    tailed(
        ui,
        |ui| {
            for (other, name) in [
                (Source::All, tr().files_all),
                (Source::Personal, tr().files_personal),
                (Source::Groups, tr().files_groups),
            ] {
                if ui.selectable_label(*source == other, name).clicked() {
                    *source = other;
                }
            }
            let field = Field::new(tr().files_search).hint(tr().files_search).bare().show(ui, query);
            if std::mem::take(&mut cx.focus_search) {
                field.request_focus();
            }
        },
        |ui| orders(ui, order),
    );
    ui.add_space(2.0);
}

fn orders(ui: &mut Ui, order: &mut Order) {
    let orders = [
        (Order::Newest, tr().order_newest),
        (Order::Name, tr().order_name),
        (Order::Largest, tr().order_largest),
        (Order::ExpiresSoon, tr().order_expiry),
    ];
    let name = orders.iter().find(|(other, _)| other == order).map_or(tr().order_newest, |order| order.1);
    let choice = ComboBox::from_id_salt("order").selected_text(name).width(140.0).show_ui(ui, |ui| {
        for (other, name) in orders {
            if ui.selectable_label(*order == other, name).clicked() {
                *order = other;
            }
        }
    });
    choice.response.accessible_name(format!("{}: {name}", tr().order));
}

/// What can be done with a file as it is now.
struct Able {
    fetch: bool,
    pause: bool,
    resume: bool,
    retry: bool,
    cancel: bool,
}

fn able(file: &File, asked: bool, refused: bool) -> Able {
    let state = file.state.as_str();
    if file.mine {
        // It can always be fetched from here: what runs or failed is its copy at a rendezvous node.
        let retry = !asked && may_be_left_again(file, refused);
        return Able { fetch: false, pause: false, resume: false, retry, cancel: asked };
    }
    let paused = state == "paused";
    let under_way = matches!(state, "downloading" | "waiting") || (asked && state == "offered");
    Able {
        fetch: matches!(state, "offered" | "completed" | "cancelled") && !under_way,
        pause: under_way,
        resume: paused,
        retry: state == "failed",
        cancel: under_way || paused,
    }
}

/// Whether an own file is at no rendezvous node because that failed, or because the person stopped it.
pub(super) fn may_be_left_again(file: &File, refused: bool) -> bool {
    file.mine && (file.state == "cancelled" || (refused && file.state == "shared"))
}

fn row(ui: &mut Ui, file: &File, state: &State, cx: &mut Cx) {
    let p = Palette::of(ui);
    let progress = state.files.progress.get(&file.file_id);
    let able = able(file, progress.is_some(), state.files.errors.contains_key(&file.file_id));
    let detail = detail(file, state, cx);
    let frame = egui::Frame::new().inner_margin(egui::Margin::symmetric(8, 6)).corner_radius(10);
    frame.show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.set_min_height(ROW_PT - 16.0);
        tailed(
            ui,
            |ui| {
                let (rect, _) = ui.allocate_exact_size(vec2(40.0, 40.0), Sense::hover());
                ui.painter().rect_filled(rect, 10.0, p.surface);
                let sign = FontId::new(19.0, icons());
                ui.painter().text(
                    rect.center(),
                    Align2::CENTER_CENTER,
                    char::from(icon(&file.mime, &file.name)),
                    sign,
                    p.accent,
                );
                lines(ui, |ui| {
                    ui.add(egui::Label::new(RichText::new(text::displayed(&file.name)).family(medium())).truncate());
                    let line = RichText::new(&detail).size(SMALL_PT).color(p.muted);
                    ui.add(egui::Label::new(line).truncate());
                });
            },
            |ui| buttons(ui, file, &able, state, cx),
        );
        if let Some(caption) = file.caption.as_deref().filter(|caption| !caption.is_empty()) {
            ui.spacing_mut().interact_size.y = 16.0;
            ui.horizontal(|ui| {
                // Below the name, not below the icon.
                ui.add_space(BESIDE_ICON_PT);
                ui.add(egui::Label::new(RichText::new(text::displayed(caption)).size(13.0)).truncate());
            });
        }
        if let Some(progress) = progress {
            bar(ui, progress, file.state == "paused");
        }
        let reason = file.reason.as_ref().filter(|_| !matches!(file.state.as_str(), "completed" | "downloading"));
        if let Some(error) = state.files.errors.get(&file.file_id).or(reason) {
            ui.horizontal_top(|ui| {
                ui.add_space(BESIDE_ICON_PT);
                error_text(ui, error);
            });
        }
    });
}

fn buttons(ui: &mut Ui, file: &File, able: &Able, state: &State, cx: &mut Cx) {
    let file_id = || file.file_id.clone();
    let name = text::displayed(&file.name);
    let tool = |ui: &mut Ui, icon: Icon, words: &str| {
        let response = icon_button(ui, icon, words);
        response.accessible_name(format!("{words}: {name}")).clicked()
    };
    let mut deeds = Vec::new();
    if tool(ui, Icon::Trash2, tr().file_delete) {
        let name = file.name.clone();
        cx.say(Intent::Show(Overlay::Confirm(Confirm::DeleteFile { file_id: file_id(), name })));
    }
    let path = state.files.saved.get(&file.file_id).or(file.path.as_ref());
    if let Some(folder) = path.and_then(|path| std::path::Path::new(path).parent())
        && tool(ui, Icon::FolderOpen, tr().open_folder)
    {
        cx.say(Intent::OpenLink(format!("file://{}", folder.display())));
    }
    let cancel = if file.mine { tr().upload_stop } else { tr().file_cancel };
    if able.cancel && tool(ui, Icon::X, cancel) {
        deeds.push(Deed::Cancel);
    }
    if able.pause && tool(ui, Icon::Pause, tr().file_pause) {
        deeds.push(Deed::Pause);
    }
    if able.resume && tool(ui, Icon::Play, tr().file_resume) {
        deeds.push(Deed::Resume);
    }
    let retry = if file.mine { tr().upload_retry } else { tr().retry };
    if able.retry && tool(ui, Icon::RotateCw, retry) {
        deeds.push(Deed::Retry);
    }
    let save = if file.is_kept() { tr().save_copy } else { tr().save_as };
    if able.fetch && tool(ui, Icon::Download, save) {
        let name = paths::file_name(&file.name).to_owned();
        let risky = file.warning.is_some() || is_risky(&name);
        cx.say(Intent::Show(Overlay::SaveFile { file_id: file_id(), name, risky }));
    }
    for deed in deeds {
        cx.say(files::Ask::Do { file_id: file_id(), deed });
    }
}

/// Size, whose it is, when, how long yet, how often fetched.
fn detail(file: &File, state: &State, cx: &Cx) -> String {
    let with = match (&file.group_id, &file.to) {
        (Some(group), _) => {
            let group = state.groups.get(group).map_or(tr().a_group, |group| &group.name);
            if file.mine { (tr().file_to)(group) } else { (tr().file_from_in)(&file.from, group) }
        }
        (None, Some(to)) if file.mine => (tr().file_to)(to),
        _ => (tr().file_from)(&file.from),
    };
    let mut parts = vec![text::bytes(file.size), with, text::when(file.at.0.0, cx.clock)];
    if let Some(until) = file.expires_at {
        parts.push(if until.0.0 <= cx.clock.now_ms {
            tr().file_expired.to_owned()
        } else {
            (tr().file_expires_in)(&text::duration(until.0.0 - cx.clock.now_ms))
        });
    }
    if file.downloads > 0 {
        parts.push((tr().file_downloads)(file.downloads));
    }
    if file.mine && file.stored_at > 0 {
        parts.push((tr().file_waits_at)(file.stored_at));
    }
    parts.push(state_of(file));
    parts.retain(|part| !part.is_empty());
    parts.join(" · ")
}

/// How it stands, in words.
pub(super) fn state_of(file: &File) -> String {
    if file.is_kept() { tr().file_kept.to_owned() } else { (tr().file_state)(&file.state) }
}

fn bar(ui: &mut Ui, progress: &Progress, paused: bool) {
    let p = Palette::of(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 6.0), Sense::hover());
    let share = progress.share();
    response.widget_info(|| {
        let words = (tr().file_progress)((share * 100.0) as u32);
        egui::WidgetInfo::labeled(egui::Role::ProgressIndicator, true, words)
    });
    ui.painter().rect_filled(rect, 3.0, p.hover);
    let done = Rect::from_min_max(rect.min, pos2(rect.left() + rect.width() * share, rect.bottom()));
    ui.painter().rect_filled(done, 3.0, if paused { p.muted } else { p.accent });
    let mut parts = vec![(tr().of_bytes)(&text::bytes(progress.done), &text::bytes(progress.total))];
    if paused {
        parts.push(tr().file_paused.to_owned());
    } else if let Some(left) = progress.left_ms() {
        parts.push((tr().per_second)(&text::bytes(progress.speed)));
        parts.push((tr().time_left)(&text::duration(left)));
    }
    ui.label(RichText::new(parts.join(" · ")).size(SMALL_PT).color(p.muted));
}

/// The icon of a kind of file.
pub(super) fn icon(mime: &str, name: &str) -> Icon {
    let kind = mime.split('/').next().unwrap_or_default();
    match kind {
        "image" => Icon::Image,
        "video" => Icon::Film,
        "audio" => Icon::Music,
        "text" => Icon::FileText,
        _ if mime.contains("zip") || mime.contains("compressed") || mime.contains("tar") => Icon::Archive,
        _ if is_risky(name) => Icon::FileWarning,
        _ => Icon::File,
    }
}
