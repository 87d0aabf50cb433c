//! Compile-time claims about what may cross cores and what may not. They need no run: a wrong one does not compile.

/// The type may be sent to another thread, and shared with it.
const fn crosses_cores<T: Send + Sync>() {}

/// Fails to compile if the type is `Send`: both implementations would then apply, and `some` would be ambiguous.
macro_rules! stays_on_its_core {
    ($type:ty) => {
        const _: fn() = || {
            trait Ambiguous<A> {
                fn some() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            struct IsSend;
            impl<T: ?Sized + Send> Ambiguous<IsSend> for T {}
            let _ = <$type as Ambiguous<_>>::some;
        };
    };
}

const _: () = crosses_cores::<ringway::model::Model>();
const _: () = crosses_cores::<ringway::snapshot::Snapshot>();

stays_on_its_core!(ringway::shard::Shard);
stays_on_its_core!(ringway::upstream::lease::Lease);

// The macro itself, on a type known to stay.
stays_on_its_core!(std::rc::Rc<u8>);
