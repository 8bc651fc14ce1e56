//! Mail protocols on our own socket layer.
