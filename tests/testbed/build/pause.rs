//! What holds a pod's namespaces: it waits.

fn main() {
    loop {
        std::thread::park();
    }
}
