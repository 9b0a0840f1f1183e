//! Shape inference: checks that the layers of a spec fit together and computes each output shape.

use super::shape::{Shape, parameter_tensors};
use super::spec::{InputSpec, LayerSpec, ModelSpec};
use crate::dataset::SampleShape;

/// Most layers allowed in a spec.
const MAXIMUM_LAYERS: usize = 64;
/// Most parameters allowed in a spec: 400 MB of f32.
const MAXIMUM_PARAMETERS: u64 = 100_000_000;
/// Most output values of a layer for one row.
const MAXIMUM_ACTIVATIONS: u64 = 1 << 24;
/// Largest size allowed in any one field.
const MAXIMUM_SIZE: u32 = 1 << 24;

/// Error in a spec that cannot be built: the place and the problem.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{place}: {problem}", place = place(*layer, kind))]
pub struct SpecError {
    /// Index of the layer at fault, or `None` for the input or the whole model.
    pub layer: Option<usize>,
    pub kind: &'static str,
    pub problem: SpecProblem,
}

fn place(layer: Option<usize>, kind: &str) -> String {
    layer.map_or_else(|| kind.to_owned(), |index| format!("layer {index} ({kind})"))
}

/// Problem in a spec.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpecProblem {
    #[error("has no layers; add at least one whose outputs are the classes")]
    Empty,
    #[error("has {0} layers; at most {MAXIMUM_LAYERS} are allowed")]
    TooManyLayers(usize),
    #[error("{field} is {value}; it must be from {minimum} to {maximum}")]
    Size { field: &'static str, value: u32, minimum: u32, maximum: u32 },
    #[error("{field} is {value}, which is not {expected}")]
    Value { field: &'static str, value: f64, expected: &'static str },
    #[error("takes {expected}, but gets {actual}")]
    Mismatch { expected: &'static str, actual: Shape },
    #[error("a window of {window} does not fit {actual}")]
    Window { window: u32, actual: Shape },
    #[error("would output {0} values per row; at most {MAXIMUM_ACTIVATIONS} are allowed")]
    Activations(u64),
    #[error(
        "has {0} parameters up to and including this layer; at most {MAXIMUM_PARAMETERS} are allowed"
    )]
    Parameters(u64),
    #[error("outputs {actual}, but the dataset has {classes} classes")]
    Classes { classes: u32, actual: Shape },
    #[error("the data is {data}, but the spec reads {spec}")]
    Input { data: String, spec: String },
}

impl ModelSpec {
    /// Returns the shape after each layer, in order.
    ///
    /// # Errors
    /// The first layer that does not fit its input, has an impossible size, or exceeds a limit on
    /// the model's size.
    pub fn shapes(&self) -> Result<Vec<Shape>, SpecError> {
        let whole = |problem| SpecError { layer: None, kind: "model", problem };
        if self.layers.is_empty() {
            return Err(whole(SpecProblem::Empty));
        }
        if self.layers.len() > MAXIMUM_LAYERS {
            return Err(whole(SpecProblem::TooManyLayers(self.layers.len())));
        }
        let mut shape = input_shape(&self.input).map_err(|problem| SpecError {
            layer: None,
            kind: "input",
            problem,
        })?;
        let mut shapes = Vec::with_capacity(self.layers.len());
        let mut parameters = 0_u64;
        for (index, layer) in self.layers.iter().enumerate() {
            let at = |problem| SpecError { layer: Some(index), kind: layer.kind(), problem };
            let next = layer_shape(layer, shape).map_err(at)?;
            let activations = next.values();
            if activations > MAXIMUM_ACTIVATIONS {
                return Err(at(SpecProblem::Activations(activations)));
            }
            let tensors = parameter_tensors(layer, shape, next);
            for (_, dimensions) in &tensors {
                let count = dimensions
                    .iter()
                    .try_fold(1_u64, |product, d| product.checked_mul(u64::from(*d)))
                    .unwrap_or(u64::MAX);
                parameters = parameters.saturating_add(count);
            }
            if parameters > MAXIMUM_PARAMETERS {
                return Err(at(SpecProblem::Parameters(parameters)));
            }
            shapes.push(next);
            shape = next;
        }
        Ok(shapes)
    }

    /// Checks that the spec builds and outputs one logit for each of `classes`.
    pub fn check(&self, classes: u32) -> Result<(), SpecError> {
        let shapes = self.shapes()?;
        match shapes.last() {
            Some(Shape::Flat(outputs)) if *outputs == classes => Ok(()),
            Some(&actual) => Err(SpecError {
                layer: Some(self.layers.len() - 1),
                kind: self.layers.last().map_or("model", LayerSpec::kind),
                problem: SpecProblem::Classes { classes, actual },
            }),
            None => Err(SpecError { layer: None, kind: "model", problem: SpecProblem::Empty }),
        }
    }

    /// Checks that the input reads rows of this shape.
    pub fn check_input(&self, sample: SampleShape) -> Result<(), SpecError> {
        let meets = match (&self.input, sample) {
            (InputSpec::Text { .. }, SampleShape::Text) => true,
            (
                InputSpec::Image { channels, height, width, .. },
                SampleShape::Image { channels: c, height: h, width: w },
            ) => (*channels, *height, *width) == (c, h, w),
            (InputSpec::Text { .. }, SampleShape::Image { .. })
            | (InputSpec::Image { .. }, SampleShape::Text) => false,
        };
        if meets {
            return Ok(());
        }
        let data = match sample {
            SampleShape::Text => "text".to_owned(),
            SampleShape::Image { channels, height, width } => {
                format!("images {channels}×{height}×{width}")
            }
        };
        let spec = match &self.input {
            InputSpec::Text { .. } => "text".to_owned(),
            InputSpec::Image { channels, height, width, .. } => {
                format!("images {channels}×{height}×{width}")
            }
        };
        let problem = SpecProblem::Input { data, spec };
        Err(SpecError { layer: None, kind: "input", problem })
    }

    /// Returns the shape of a row as the first layer receives it. Fails if the input has impossible
    /// sizes.
    pub fn input_shape(&self) -> Result<Shape, SpecError> {
        input_shape(&self.input).map_err(|problem| SpecError {
            layer: None,
            kind: "input",
            problem,
        })
    }
}

fn size(field: &'static str, value: u32, minimum: u32, maximum: u32) -> Result<u32, SpecProblem> {
    if (minimum..=maximum).contains(&value) {
        Ok(value)
    } else {
        Err(SpecProblem::Size { field, value, minimum, maximum })
    }
}

fn input_shape(input: &InputSpec) -> Result<Shape, SpecProblem> {
    match *input {
        InputSpec::Text { buckets, ngrams, max_words, unique: _ } => {
            size("buckets", buckets, 2, MAXIMUM_SIZE)?;
            size("ngrams", ngrams, 1, 5)?;
            size("max_words", max_words, 1, 65_536)?;
            Ok(Shape::Words { buckets, max_words, ngrams })
        }
        InputSpec::Image { channels, height, width, mean, deviation } => {
            size("channels", channels, 1, 16)?;
            size("height", height, 1, 4_096)?;
            size("width", width, 1, 4_096)?;
            if !mean.is_finite() {
                let value = f64::from(mean);
                return Err(SpecProblem::Value { field: "mean", value, expected: "finite" });
            }
            if !deviation.is_finite() || deviation <= 0.0 {
                let value = f64::from(deviation);
                let expected = "finite and above 0";
                return Err(SpecProblem::Value { field: "deviation", value, expected });
            }
            Ok(Shape::Image { channels, height, width })
        }
    }
}

fn layer_shape(layer: &LayerSpec, input: Shape) -> Result<Shape, SpecProblem> {
    let mismatch = |expected| Err(SpecProblem::Mismatch { expected, actual: input });
    match layer {
        LayerSpec::EmbeddingBag { dimension, combine: _ } => {
            let dimension = size("dimension", *dimension, 1, MAXIMUM_SIZE)?;
            match input {
                Shape::Words { .. } => Ok(Shape::Flat(dimension)),
                Shape::Sequence { .. } | Shape::Image { .. } | Shape::Flat(_) => {
                    mismatch("words (a text input)")
                }
            }
        }
        LayerSpec::Embedding { dimension } => {
            let channels = size("dimension", *dimension, 1, MAXIMUM_SIZE)?;
            match input {
                Shape::Words { max_words, ngrams: 1, .. } => {
                    Ok(Shape::Sequence { channels, length: max_words })
                }
                Shape::Words { .. } => mismatch("words in order (a text input with ngrams = 1)"),
                Shape::Sequence { .. } | Shape::Image { .. } | Shape::Flat(_) => {
                    mismatch("words (a text input)")
                }
            }
        }
        LayerSpec::ConvMaxPool { channels, widths } => conv_max_pool(*channels, widths, input),
        LayerSpec::Conv2d { channels, kernel, stride, padding } => {
            let channels = size("channels", *channels, 1, MAXIMUM_SIZE)?;
            let slide = |length| slide(length, *kernel, *stride, *padding, input);
            match input {
                Shape::Image { height, width, .. } => {
                    Ok(Shape::Image { channels, height: slide(height)?, width: slide(width)? })
                }
                Shape::Words { .. } | Shape::Sequence { .. } | Shape::Flat(_) => {
                    mismatch("an image")
                }
            }
        }
        LayerSpec::MaxPool2d { kernel, stride } => {
            let slide = |length| slide(length, *kernel, *stride, 0, input);
            match input {
                Shape::Image { channels, height, width } => {
                    Ok(Shape::Image { channels, height: slide(height)?, width: slide(width)? })
                }
                Shape::Words { .. } | Shape::Sequence { .. } | Shape::Flat(_) => {
                    mismatch("an image")
                }
            }
        }
        LayerSpec::GlobalAveragePool => match input {
            Shape::Image { channels, .. } => Ok(Shape::Flat(channels)),
            Shape::Words { .. } | Shape::Sequence { .. } | Shape::Flat(_) => mismatch("an image"),
        },
        LayerSpec::Flatten => match input {
            Shape::Image { .. } | Shape::Sequence { .. } => {
                Ok(Shape::Flat(u32::try_from(input.values()).unwrap_or(u32::MAX)))
            }
            Shape::Words { .. } | Shape::Flat(_) => mismatch("an image or a sequence"),
        },
        LayerSpec::Linear { outputs } => {
            let outputs = size("outputs", *outputs, 1, MAXIMUM_SIZE)?;
            match input {
                Shape::Flat(_) => Ok(Shape::Flat(outputs)),
                Shape::Words { .. } | Shape::Sequence { .. } | Shape::Image { .. } => {
                    mismatch("a vector (add a flatten layer before it)")
                }
            }
        }
        LayerSpec::LayerNorm => match input {
            Shape::Flat(_) => Ok(input),
            Shape::Words { .. } | Shape::Sequence { .. } | Shape::Image { .. } => {
                mismatch("a vector (add a flatten layer before it)")
            }
        },
        LayerSpec::Relu | LayerSpec::Tanh | LayerSpec::Gelu => match input {
            Shape::Words { .. } => mismatch("numbers (add an embedding before it)"),
            Shape::Sequence { .. } | Shape::Image { .. } | Shape::Flat(_) => Ok(input),
        },
        LayerSpec::Dropout { probability } => {
            if !(0.0..1.0).contains(probability) {
                let expected = "at least 0 and below 1";
                let value = *probability;
                return Err(SpecProblem::Value { field: "probability", value, expected });
            }
            match input {
                Shape::Words { .. } => mismatch("numbers (add an embedding before it)"),
                Shape::Sequence { .. } | Shape::Image { .. } | Shape::Flat(_) => Ok(input),
            }
        }
    }
}

fn conv_max_pool(channels: u32, widths: &[u32], input: Shape) -> Result<Shape, SpecProblem> {
    size("channels", channels, 1, MAXIMUM_SIZE)?;
    let count = size("widths", u32::try_from(widths.len()).unwrap_or(u32::MAX), 1, 16)?;
    let Shape::Sequence { length, .. } = input else {
        let expected = "a sequence (after an embedding)";
        return Err(SpecProblem::Mismatch { expected, actual: input });
    };
    for width in widths {
        size("widths", *width, 1, MAXIMUM_SIZE)?;
        if *width > length {
            return Err(SpecProblem::Window { window: *width, actual: input });
        }
    }
    Ok(Shape::Flat(channels.saturating_mul(count)))
}

/// Returns the positions of a window that slides over `length`: ⌊(length + 2·padding − kernel) /
/// stride⌋ + 1.
fn slide(
    length: u32,
    kernel: u32,
    stride: u32,
    padding: u32,
    input: Shape,
) -> Result<u32, SpecProblem> {
    size("kernel", kernel, 1, 4_096)?;
    size("stride", stride, 1, 4_096)?;
    size("padding", padding, 0, kernel - 1)?;
    let padded = length + 2 * padding;
    if kernel > padded {
        return Err(SpecProblem::Window { window: kernel, actual: input });
    }
    Ok((padded - kernel) / stride + 1)
}
