//! The certificates that real servers present, made before they start.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use std::fs;
use std::path::Path;

/// Writes `ca.pem`, and `server.pem` with `server.key`, for `localhost` and 127.0.0.1. `fault` is the one thing that is
/// wrong with the server's certificate: `good`, `expired`, `notyet`, `wrongname`, or `unknown`, as its issuer is.
pub fn write_server(folder: &Path, fault: &str) {
    let (ca, pem) = authority("mailconn test CA");
    write(folder, "ca.pem", &pem);
    let (issuer, name) = match fault {
        "unknown" => (authority("mailconn unknown CA").0, "localhost"),
        "wrongname" => (ca, "other.example"),
        _ => (ca, "localhost"),
    };
    let mut names = vec![name.to_owned()];
    names.extend((fault != "wrongname").then(|| "127.0.0.1".to_owned()));
    let mut params = leaf(names, "localhost", ExtendedKeyUsagePurpose::ServerAuth);
    match fault {
        "expired" => (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
        "notyet" => (params.not_before, params.not_after) = (date_time_ymd(2098, 1, 1), date_time_ymd(2099, 1, 1)),
        "good" | "wrongname" | "unknown" => {}
        other => panic!("no certificate is {other}"),
    }
    write_signed(folder, "server", params, &issuer);
}

/// Writes `client-ca.pem`, which a server is to trust, and `client.pem` with `client.key`, which it signed.
pub fn write_client(folder: &Path) {
    let (issuer, pem) = authority("mailconn test CA of clients");
    write(folder, "client-ca.pem", &pem);
    write_signed(folder, "client", leaf(Vec::new(), "u1", ExtendedKeyUsagePurpose::ClientAuth), &issuer);
}

fn authority(name: &str) -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

fn leaf(names: Vec<String>, subject: &str, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![usage];
    // Strict verifiers, Python's among them, ask for it.
    params.use_authority_key_identifier_extension = true;
    params
}

fn write_signed(folder: &Path, name: &str, params: CertificateParams, issuer: &Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    write(folder, &format!("{name}.key"), &key.serialize_pem());
    write(folder, &format!("{name}.pem"), &params.signed_by(&key, issuer).unwrap().pem());
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(name), text).unwrap();
}
