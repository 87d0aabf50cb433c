//! scratch
mod sim;
use sim::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let seeds: u64 = args.get(1).and_then(|n| n.parse().ok()).unwrap_or(3);
    let list: Vec<_> = contenders::all().into_iter().filter(|c| args.get(3).is_none_or(|f| f.split(',').any(|f| c.name.contains(f)))).collect();
    let scen = scenario::twelve();
    let mut table = vec![vec![0.0; scen.len()]; list.len()];
    for (j, s) in scen.iter().enumerate() {
        let t0 = std::time::Instant::now();
        for (i, c) in list.iter().enumerate() {
            for seed in 1..=seeds {
                let mut p = (c.make)(s, seed);
                let t = engine::run(s, seed, &mut *p);
                table[i][j] += t.permille(990) / seeds as f64;
            }
        }
        eprintln!("{} {:?}", s.name, t0.elapsed());
    }
    let o = list.len() - 1;
    for (i, c) in list.iter().enumerate() {
        let r: Vec<f64> = (0..scen.len()).map(|j| table[i][j] / table[o][j]).collect();
        let g = (r.iter().map(|x| x.ln()).sum::<f64>() / r.len() as f64).exp();
        let w = r.iter().cloned().fold(0.0, f64::max);
        print!("{:30} {:5.2} {:6.2} |", c.name, g, w);
        for j in 0..scen.len() { print!(" {:6.0}", table[i][j]); }
        println!();
    }
    for s in [scenario::failing(), scenario::partly_failing(), scenario::zone_lost(), scenario::demo(), scenario::two_slow(), scenario::low_load(10), scenario::cold_join()] {
        println!("{}", s.name);
        for c in &list {
            let mut p = (c.make)(&s, 1);
            let t = engine::run(&s, 1, &mut *p);
            println!("  {:30} failed {:6} of {} p50 {:.0} p90 {:.0} p95 {:.0} p99 {:.0} p999 {:.0} hottest {:.2} ended {:.1}", c.name, t.failed, t.sent, t.permille(500), t.permille(900), t.permille(950), t.permille(990), t.permille(999), t.hottest(), t.ended as f64 / 1e6);
        }
    }
}
