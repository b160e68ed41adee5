use dkv_models::hunt::*;
fn main() {
    let left = std::sync::Mutex::new(quarry().into_iter());
    std::thread::scope(|s| { for _ in 0..2 { s.spawn(|| loop {
        let Some(bug) = left.lock().unwrap().next() else { return };
        match hunt(bug, || false) {
            Some(f) => println!("{:<36} {:?} {} states {} steps {} {:.3}s total {:.1}s", bug.name(), f.method, f.property, f.searched, f.evidence.steps(), f.duration.as_secs_f64(), f.total.as_secs_f64()),
            None => println!("{:<36} NOT FOUND", bug.name()),
        }
    }); } });
}
