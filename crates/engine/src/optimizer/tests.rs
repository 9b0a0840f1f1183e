//! Optimizers compared with their other form and with burn's.

use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use protocol::plan::Optimizer;

use super::*;
use crate::batch::{Batch, Featurizer};
use crate::initialize;
use crate::network::Network;
use crate::testing::{OPTIMIZERS, bits, dense_spec, images};

const STEPS: usize = 30;

#[test]
fn slices_and_tensors_give_the_same_bits() {
    for optimizer in OPTIMIZERS {
        let [on_host, on_device] = [Placement::Host, Placement::Device].map(|placement| {
            let (mut network, batch) = network();
            let device = Device::flex().autodiff();
            let mut dense = DenseOptimizer::new(Rule::new(&optimizer), placement, &device);
            for _ in 0..STEPS {
                let gradients = gradients(&network, &batch);
                network.update(|body| dense.apply(body, gradients));
            }
            (network.flat().unwrap(), dense.moments().unwrap())
        });
        assert_eq!(bits(&on_host.0), bits(&on_device.0), "{optimizer:?}");
        assert_eq!(on_host.1, on_device.1, "{optimizer:?}");
    }
}

#[test]
fn the_optimizers_match_burn_s() {
    for optimizer in OPTIMIZERS {
        let (mut network, batch) = network();
        let device = Device::flex().autodiff();
        let mut dense = DenseOptimizer::new(Rule::new(&optimizer), Placement::Host, &device);
        let (mut reference, _) = self::network();
        let (mut burn_optimizer, rate) = burn_optimizer(&optimizer);
        for _ in 0..STEPS {
            let ours = gradients(&network, &batch);
            network.update(|body| dense.apply(body, ours));
            let theirs = gradients(&reference, &batch);
            reference.update(|body| {
                let gradients = GradientsParams::from_grads(theirs, &body);
                burn_optimizer.step(rate, body, gradients)
            });
        }
        let (ours, theirs) = (network.flat().unwrap(), reference.flat().unwrap());
        let worst = ours.iter().zip(&theirs).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
        // burn computes powers of the betas in f32, which differs by about 1e-5 of a step.
        assert!(worst < 2e-5, "{optimizer:?}: {worst}");
    }
}

#[test]
fn a_restored_state_continues_identically() {
    for (optimizer, placement) in
        OPTIMIZERS.iter().flat_map(|o| [(o, Placement::Host), (o, Placement::Device)])
    {
        let (mut network, batch) = network();
        let device = Device::flex().autodiff();
        let rule = Rule::new(optimizer);
        let mut dense = DenseOptimizer::new(rule, placement, &device);
        for step in 0..10 {
            if step == 4 {
                let moments = dense.moments().unwrap();
                let body = network.body_flat().unwrap().concat();
                let (mut fresh, _) = self::network();
                assert!(fresh.restore(&body, Vec::new()));
                let mut restored = DenseOptimizer::new(rule, placement, &device);
                restored.restore(step, &moments, &fresh.body);
                for _ in step..10 {
                    let gradients = gradients(&fresh, &batch);
                    fresh.update(|body| restored.apply(body, gradients));
                }
                for _ in step..10 {
                    let gradients = gradients(&network, &batch);
                    network.update(|body| dense.apply(body, gradients));
                }
                assert_eq!(bits(&network.flat().unwrap()), bits(&fresh.flat().unwrap()));
                break;
            }
            let gradients = gradients(&network, &batch);
            network.update(|body| dense.apply(body, gradients));
        }
    }
}

fn network() -> (Network, Batch) {
    let spec = dense_spec();
    let rows = images(12);
    let batch = Featurizer::new(&spec).unwrap().batch(&rows.iter().collect::<Vec<_>>(), None);
    let flat = initialize(&spec, 3).unwrap();
    (Network::new(&spec, &flat, &Device::flex().autodiff()).unwrap(), batch)
}

fn gradients(network: &Network, batch: &Batch) -> Gradients {
    let (logits, _) = network.forward(&mut batch.clone()).unwrap();
    network.loss(logits, batch).backward()
}

#[expect(clippy::cast_possible_truncation, reason = "burn's fields are f32")]
fn burn_optimizer(optimizer: &Optimizer) -> (ModuleOptimizer, f64) {
    match *optimizer {
        Optimizer::Sgd { learning_rate, momentum, weight_decay } => {
            let momentum = (momentum > 0.0)
                .then(|| MomentumConfig::new().with_momentum(momentum).with_dampening(0.0));
            let decay = (weight_decay > 0.0).then(|| WeightDecayConfig::new(weight_decay as f32));
            let config = SgdConfig::new().with_momentum(momentum).with_weight_decay(decay);
            (config.init(), learning_rate)
        }
        Optimizer::Adam { learning_rate } => {
            (AdamConfig::new().with_epsilon(1e-8).init(), learning_rate)
        }
        Optimizer::AdamW { learning_rate, weight_decay } => {
            let config = AdamWConfig::new().with_epsilon(1e-8);
            (config.with_weight_decay(weight_decay as f32).init(), learning_rate)
        }
    }
}
