//! QR codes.

use std::sync::Arc;

use egui::{Id, Rect, Response, Role, Sense, Shape, Ui, Vec2, WidgetInfo, vec2};
use qrcode::{Color, EcLevel, QrCode};

use crate::theme::{QR_DARK, QR_LIGHT};

/// The quiet zone around a code that scanners ask for, in modules (ISO/IEC 18004, 6.3.8).
const QUIET_MODULES: usize = 4;

/// Shows `text` as a QR code with sides of `side` points, or nothing where it is too long for one.
pub(crate) fn qr_code(ui: &mut Ui, text: &str, name: &str, side: f32) -> Option<Response> {
    let code = code(ui, text)?;
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, name));
    if ui.is_rect_visible(rect) {
        let modules = code.width() + 2 * QUIET_MODULES;
        let module = rect.width() / modules as f32;
        ui.painter().rect_filled(rect, 10.0, QR_LIGHT);
        let dark = code.to_colors().into_iter().enumerate().filter(|(_, color)| *color == Color::Dark).map(|(i, _)| {
            let (row, column) = (i / code.width() + QUIET_MODULES, i % code.width() + QUIET_MODULES);
            let at = rect.min + vec2(column as f32 * module, row as f32 * module);
            // A hair wider than a module: no light shines through between two.
            Shape::rect_filled(Rect::from_min_size(at, Vec2::splat(module + 0.15)), 0.0, QR_DARK)
        });
        ui.painter().extend(dark.collect::<Vec<_>>());
    }
    Some(response)
}

/// Made once for a text, not with every frame.
fn code(ui: &Ui, text: &str) -> Option<Arc<QrCode>> {
    let id = Id::unique(("qr", text));
    if let Some(code) = ui.data(|data| data.get_temp::<Option<Arc<QrCode>>>(id)) {
        return code;
    }
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok().map(Arc::new);
    ui.data_mut(|data| data.insert_temp(id, code.clone()));
    code
}
