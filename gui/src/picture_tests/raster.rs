//! Paints what egui has turned into triangles into a picture, with no graphics
//! card and no driver: on every machine the same pixels.
//!
//! By hand, because egui's own renderer for tests needs a Vulkan driver and
//! wgpu's hundred crates, and the software renderers that are published are
//! for older versions of egui. It is what `egui_glow`'s shader does, no more:
//! texture times colour, premultiplied, blended as the bytes are.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use egui::epaint::{ClippedPrimitive, ImageData, ImageDelta, Mesh, Primitive, Vertex};
use egui::{Color32, Pos2, Rect, TextureId, TexturesDelta};
use egui_kittest::TestRenderer;
use image::{Rgb, RgbImage};

/// A colour, premultiplied, each part from 0 to 255.
type Rgba = [f32; 4];

struct Texture {
    size: [usize; 2],
    pixels: Vec<Color32>,
}

impl Texture {
    fn put(&mut self, delta: &ImageDelta) {
        let ImageData::Color(image) = &delta.image;
        let [left, top] = delta.pos.unwrap_or_default();
        for (y, line) in image.pixels.chunks(image.size[0].max(1)).enumerate() {
            let from = (top + y) * self.size[0] + left;
            self.pixels[from..from + line.len()].copy_from_slice(line);
        }
    }

    fn texel(&self, x: i64, y: i64) -> Rgba {
        let inside = |at: i64, size: usize| usize::try_from(at.clamp(0, size as i64 - 1)).unwrap();
        let pixel = self.pixels[inside(y, self.size[1]) * self.size[0] + inside(x, self.size[0])];
        pixel.to_array().map(f32::from)
    }

    /// The colour at a place from 0 to 1, between its four neighbours.
    fn sample(&self, u: f32, v: f32) -> Rgba {
        let (x, y) = (u * self.size[0] as f32 - 0.5, v * self.size[1] as f32 - 0.5);
        let (left, top) = (x.floor(), y.floor());
        let (right_share, below_share) = (x - left, y - top);
        let (left, top) = (left as i64, top as i64);
        let corners = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| {
            let x_share = if dx == 1 { right_share } else { 1.0 - right_share };
            let y_share = if dy == 1 { below_share } else { 1.0 - below_share };
            (x_share * y_share, dx, dy)
        });
        let mut sum = [0.0; 4];
        for (share, dx, dy) in corners.into_iter().filter(|(share, ..)| *share > 0.0) {
            let texel = self.texel(left + dx, top + dy);
            sum.iter_mut().zip(texel).for_each(|(sum, part)| *sum += share * part);
        }
        sum
    }
}

/// Keeps the textures of a window.
#[derive(Clone, Default)]
pub(super) struct Textures(Rc<RefCell<HashMap<TextureId, Texture>>>);

impl TestRenderer for Textures {
    fn handle_delta(&mut self, delta: &mut TexturesDelta) {
        let mut textures = self.0.borrow_mut();
        for (id, deltas) in delta.set.drain() {
            for delta in deltas {
                if delta.pos.is_none() {
                    let size = delta.image.size();
                    textures.insert(id, Texture { size, pixels: vec![Color32::TRANSPARENT; size[0] * size[1]] });
                }
                textures.get_mut(&id).unwrap().put(&delta);
            }
        }
        delta.free.drain().for_each(|id| drop(textures.remove(&id)));
    }
}

impl Textures {
    /// The picture of a frame, one pixel for each point.
    pub(super) fn paint(&self, primitives: &[ClippedPrimitive], size: [u32; 2]) -> RgbImage {
        let mut picture = RgbImage::new(size[0], size[1]);
        let textures = self.0.borrow();
        for ClippedPrimitive { clip_rect, primitive } in primitives {
            let Primitive::Mesh(mesh) = primitive else { continue };
            triangles(mesh, &textures[&mesh.texture_id], *clip_rect, &mut picture);
        }
        picture
    }
}

fn triangles(mesh: &Mesh, texture: &Texture, clip: Rect, picture: &mut RgbImage) {
    for corners in mesh.indices.chunks_exact(3) {
        let [a, b, c] = [0, 1, 2].map(|corner| mesh.vertices[corners[corner] as usize]);
        // The same way round, so that inside is the same side of each edge.
        let corners = if doubled_area(a.pos, b.pos, c.pos) < 0.0 { [a, c, b] } else { [a, b, c] };
        triangle(&corners, texture, clip, picture);
    }
}

fn doubled_area(a: Pos2, b: Pos2, c: Pos2) -> f32 {
    (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)
}

fn triangle(corners: &[Vertex; 3], texture: &Texture, clip: Rect, picture: &mut RgbImage) {
    let [a, b, c] = corners.map(|corner| corner.pos);
    let area = doubled_area(a, b, c);
    if area <= 0.0 {
        return;
    }
    let clip = Rect::from_min_max(clip.min.round(), clip.max.round());
    let whole = Rect::from_min_max(Pos2::ZERO, egui::pos2(picture.width() as f32, picture.height() as f32));
    let around = Rect::from_points(&[a, b, c]).intersect(clip).intersect(whole);
    if !around.is_positive() {
        return;
    }
    // Most of what is painted is of one colour.
    let plain = corners.iter().all(|corner| corner.uv == corners[0].uv && corner.color == corners[0].color);
    let plain = plain.then(|| color(corners, [1.0, 0.0, 0.0], texture));
    for y in around.top().floor() as u32..(around.bottom().ceil() as u32).min(picture.height()) {
        for x in around.left().floor() as u32..(around.right().ceil() as u32).min(picture.width()) {
            let at = egui::pos2(x as f32 + 0.5, y as f32 + 0.5);
            if !clip.contains(at) {
                continue;
            }
            let shares = [(b, c), (c, a), (a, b)].map(|(from, to)| (doubled_area(from, to, at), from, to));
            if shares.iter().all(|&(share, from, to)| share > 0.0 || (share == 0.0 && keeps_edge(from, to))) {
                let color = plain.unwrap_or_else(|| color(corners, shares.map(|(share, ..)| share / area), texture));
                blend(picture.get_pixel_mut(x, y), color);
            }
        }
    }
}

/// Of two triangles that share an edge, only one paints what lies on it.
fn keeps_edge(from: Pos2, to: Pos2) -> bool {
    to.y < from.y || (to.y == from.y && to.x > from.x)
}

fn color(corners: &[Vertex; 3], shares: [f32; 3], texture: &Texture) -> Rgba {
    let mut tint = [0.0; 4];
    let (mut u, mut v) = (0.0, 0.0);
    for (corner, share) in corners.iter().zip(shares) {
        tint.iter_mut().zip(corner.color.to_array()).for_each(|(sum, part)| *sum += share * f32::from(part));
        (u, v) = (u + share * corner.uv.x, v + share * corner.uv.y);
    }
    let texel = texture.sample(u, v);
    [0, 1, 2, 3].map(|part| tint[part] * texel[part] / 255.0)
}

fn blend(pixel: &mut Rgb<u8>, color: Rgba) {
    for (below, above) in pixel.0.iter_mut().zip(color) {
        *below = (above + f32::from(*below) * (1.0 - color[3] / 255.0)).round().clamp(0.0, 255.0) as u8;
    }
}
