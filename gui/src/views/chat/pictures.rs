//! Small pictures of shared images, on the graphics card while they are looked at.

use std::collections::HashMap;

use egui::{ColorImage, Context, TextureHandle, TextureOptions, Vec2, vec2};

use crate::state::{Intent, Preview, Previews};
use crate::views::Cx;

/// The pictures by file.
#[derive(Default)]
pub(crate) struct Pictures {
    textures: HashMap<String, TextureHandle>,
}

/// One that can be painted.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) texture: egui::TextureId,
    /// In pixels.
    pub(crate) size: Vec2,
}

impl Pictures {
    /// The picture of a file; the first look asks for it.
    pub(crate) fn of(&mut self, ctx: &Context, file_id: &str, previews: &Previews, cx: &mut Cx) -> Option<Shown> {
        match previews.get(file_id) {
            None => {
                cx.say(Intent::Preview(file_id.to_owned()));
                None
            }
            Some(Preview::Asked | Preview::Missing) => None,
            Some(Preview::Ready(picture)) => {
                let size = [picture.width, picture.height];
                if !self.textures.contains_key(file_id) {
                    // Those that nobody has looked at for long are let go with their pixels.
                    self.textures.retain(|known, _| previews.get(known).is_some());
                    let image = ColorImage::from_rgba_unmultiplied(size, &picture.rgba);
                    let texture = ctx.load_texture("preview", image, TextureOptions::LINEAR);
                    self.textures.insert(file_id.to_owned(), texture);
                }
                let texture = self.textures.get(file_id)?.id();
                Some(Shown { texture, size: vec2(size[0] as f32, size[1] as f32) })
            }
        }
    }
}
