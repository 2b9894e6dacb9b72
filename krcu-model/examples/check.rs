//! scratch
use krcu_model::{approach, check::{row, workload::Depth}};
fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    for a in approach::all() {
        let name = approach::row_name(a.as_ref());
        if !name.contains(&only) { continue; }
        let t = std::time::Instant::now();
        let o = row::check(a.as_ref(), Depth::Bounded);
        println!("{name}: {} states {} transitions depth {} in {:?}", o.states, o.transitions, o.depth, t.elapsed());
        println!("   witnessed {:?}", o.witnessed);
        for b in &o.broken { println!("   BROKEN {} in {}{}", b.promise.name(), b.path.len(), if a.breaks().iter().any(|(p,_)| *p==b.promise) {" (expected)"} else {" UNEXPECTED"});
          if !a.breaks().iter().any(|(p,_)| *p==b.promise) || std::env::var("P").is_ok() { for w in &b.path { println!("       {w}"); } } }
        for (p,_) in a.breaks() { if o.breaks(*p).is_none() { println!("   NOT BROKEN though expected: {}", p.name()); } }
    }
}
