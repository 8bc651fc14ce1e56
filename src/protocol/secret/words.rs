//! The words of mail servers. A secret that is made of these cannot be told from what a server says of its own accord.

use std::collections::HashSet;
use std::sync::LazyLock;

use zeroize::Zeroizing;

use crate::protocol::classify;
use crate::protocol::command::Verb;

/// Words of the protocols, in small letters: commands, replies, capabilities, mechanisms, response codes, attributes.
const PROTOCOL: &str = "\
    ok no bad bye preauth err tag literal literal+ literal- imap imap2 imap4 imap4rev1 imap4rev2 pop pop2 pop3 smtp esmtp lmtp \
    submission sieve capability capabilities capa login logindisabled logout auth authenticate noop id idle select examine \
    create delete rename subscribe unsubscribe list lsub xlist status append check close unselect expunge uid search fetch \
    store copy move sort thread namespace enable enabled compress deflate getquota getquotaroot setquota quota quotaroot acl \
    rights getacl setacl listrights myrights metadata annotate notify replace binary catenate multiappend condstore qresync \
    esearch esort searchres within children haschildren hasnochildren noselect noinferiors nonexistent subscribed remote marked \
    unmarked special use special-use create-special-use list-extended list-status uidplus uidnext uidvalidity unseen recent \
    exists messages highestmodseq modseq nomodseq mailboxid objectid saslir sasl sasl-ir starttls stls tls ssl user pass apop \
    stat retr dele top uidl uids rset quit last utf utf7 utf8 utf8only utf8=accept resp codes resp-codes auth-resp-code \
    authrespcode pipelining expire login-delay implementation ehlo helo lhlo mail rcpt data bdat vrfy expn help etrn turn size \
    8bitmime 7bit 8bit binarymime chunking smtputf8 dsn enhancedstatuscodes deliverby mt-priority requiretls burl limits \
    futurerelease checkpoint xclient xforward xdebug xexch50 x-exps x-link2state xapplepushservice xapplelite annotatemore listext xconversations xmove xstop xserverinfo xnetscape xymhighestmodseq netmail x-gm-ext-1 \
    xyzzy i18nlevel context filters urlauth url-partial urlauth=binary unauthenticate preview savedate savelimit statussize \
    status=size partial inprogress uidbatches uidonly jmapaccess appendlimit messagelimit conversions mupdate language comparator \
    convert acl2 plain external anonymous scram sha sha1 sha256 sha512 md5 cram cram-md5 digest digest-md5 gssapi gs2 krb5 ntlm \
    spa skey otp securid kerberos kerberos_v4 oauth oauth2 oauthbearer xoauth xoauth2 bearer token openid20 eap srp passdss \
    xymcookie mechanism mechanisms scheme schemes scope alert badcharset parse readonly read readwrite write trycreate unavailable \
    authenticationfailed authorizationfailed expired privacyrequired contactadmin noperm inuse expungeissued corruption \
    serverbug clientbug cannot overquota alreadyexists closed notsaved badevent badcomparator hasattach referral undefinedfilter \
    uidnotsticky appenduid copyuid unknown-cte limit systemerror toobig webalert sys temp perm delay throttled tempfail \
    inbox sent drafts trash junk spam archive flagged answered deleted seen draft important all new old keywords keyword flags \
    permanentflags flag envelope body bodystructure text header headers fields internaldate rfc822 mime multipart mixed \
    alternative charset ascii us-ascii iso iso-8859-1 utf-8 quoted printable base64 attachment inline subject from to cc bcc \
    sender reply date message received return path nil date-time sequence";

/// Words of their sentences, and of those who make them.
const SENTENCES: &str = "\
    a an the this that these those i we you he she it they me us him her them my our your his its their of in on at by for with \
    without to from into onto over under up down out off about after before behind between during per via within as than then \
    and or but if else when while where who whom whose which what why how not no yes nor only also again already always never \
    ever yet still now later soon once more most less least few many much some any each every all both either neither none one \
    two three four five six seven eight nine ten first second third last next other another same such own so too very just \
    even be am is are was were been being do does did done have has had having can could may might must shall should will would \
    cannot go goes going gone come comes get gets got give given gives take taken takes make makes made let lets see seen say \
    says said tell told know known unknown knows use used uses using user users find found keep kept put set sets need needs \
    needed want wants wanted wait waits waiting waited try tries trying tried retry retries ask asks asked asking allow allows \
    allowed allowing deny denies denied permit permits permitted require requires required request requests requested \
    accept accepts accepted accepting reject rejects rejected refuse refuses refused disable disables disabled enable enables \
    enabled open opened opening opens close closed closes closing end ended ends ending start started starting starts begin \
    begins beginning begun stop stopped stopping finish finished complete completed completes success successful successfully \
    succeeded fail fails failed failing failure failures error errors fault faults invalid valid incorrect correct wrong right \
    bad good fine illegal legal missing empty present absent exist exists existing match matches matched mismatch expected \
    unexpected unrecognized unrecognised recognized recognised unsupported supported support supports implemented implement \
    unimplemented understood understand syntax argument arguments parameter parameters option options command commands line \
    lines word words name names number numbers value values string strings character characters byte bytes octet octets long \
    short big small large great little high low hard soft fast slow full half whole part parts null zero password passwords \
    passwd passphrase pass phrase secret credential credentials account accounts authentication authenticated \
    authenticating authorization authorized authorised authorize identity identification verify verified verification login \
    logins log logged logging logon logout logoff sign signed signing session sessions connection connections connect connected \
    connecting disconnect disconnected disconnecting client clients server servers service services host hosts hostname domain \
    domains address addresses port ports network internet local remote localhost localdomain system systems machine node proxy \
    backend frontend director relay relays relaying gateway mailer postmaster administrator admin root nobody guest test tests \
    testing example mailbox mailboxes maildrop maildrops folder folders message messages mails email emails recipient recipients \
    sender senders queue queued delivery delivered deliver space storage disk memory resource resources usage used \
    ready welcome hello hi hey bye goodbye greetings pleased meet nice day please thank thanks sorry okay world home sweet \
    service available unavailable temporary temporarily permanent permanently internal external general common public private \
    secure security insecure safe encrypted encryption protected protection plain plaintext cleartext clear crypt cipher \
    certificate certificates key keys policy policies rule rules block blocked blacklist blacklisted blocklist spam virus abuse \
    lock locked locks locking unlock suspended banned ban frozen inactive active activity inactivity idle timeout timed time \
    times minute minutes hour hours day days week weeks month months year years second seconds limit limits limited exceeded \
    exceeds rate rates too maximum minimum max min count counts total busy overload overloaded load loaded shutdown shutting \
    shut down restart restarting reboot maintenance upgrade upgrading update updating begin negotiation handshake continue \
    continuing proceed proceeding abort aborted aborting cancel cancelled canceled interrupted ignored ignore denied access \
    accessing permission permissions reason reasons cause information info details help support contact visit website web \
    browser page link http https www com org net edu version build release running runs run copyright rights reserved use \
    forgot forgotten throttle throttles throttling exceed exceeding overloading frequent frequently frequency quick quickly \
    rapid rapidly reach reached reaches excessive attempt attempts limiting maximal prohibited monitored notice note warning warnings attention alert alerts debug trace number id ids tag tags state status \
    code codes reply replies response responses result results answer challenge initial final first last nonce salt proof \
    iteration iterations hash channel binding database table record records file files directory directories process \
    processes thread threads child parent pool cache buffer socket pipe signal reset broken reason lookup resolve resolved \
    reverse forward dns mx dovecot postfix courier cyrus exim sendmail qmail uw panda exchange microsoft outlook office \
    hotmail gmail google googlemail yahoo aol apple icloud zoho fastmail proton protonmail tutanota zimbra stalwart james \
    hmailserver mdaemon kerio icewarp axigen communigate lotus domino groupwise openwave mirapoint oracle sun netscape \
    hoodiecrow greenmail mailcow mailu mailcatcher mailhog mailpit smtp4dev sandbox mailconn maddy opensmtpd haraka citadel \
    coremail netease tencent aliyun yandex rambler gmx webde ionos strato ovh rackspace zendesk solid popa3d teapop vpopmail \
    gnu mailutils linux unix debian ubuntu fedora centos redhat gentoo suse freebsd openbsd netbsd windows solaris macos";

/// What has letters and digits in it.
const COMPOUNDS: [&str; 26] = [
    "scram-sha-1",
    "scram-sha-1-plus",
    "scram-sha-256",
    "scram-sha-256-plus",
    "scram-sha-512",
    "scram-sha-512-plus",
    "sha-1",
    "sha-256",
    "sha-512",
    "cram-md5",
    "digest-md5",
    "auth=cram-md5",
    "auth=scram-sha-1",
    "auth=scram-sha-256",
    "utf-8",
    "utf-7",
    "iso-8859-1",
    "iso-8859-15",
    "windows-1252",
    "tls1.2",
    "tls1.3",
    "tlsv1.2",
    "tlsv1.3",
    "x-gm-ext-1",
    "rfc 3501",
    "rfc 5321",
];

static WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let listed = [PROTOCOL, SENTENCES].into_iter().flat_map(str::split_ascii_whitespace);
    listed.chain(COMPOUNDS).collect()
});

/// Whether a server may say that of its own accord: words of its trade and numbers, and nothing between them but what
/// stands between words.
pub(crate) fn are_usual(text: &str) -> bool {
    let lower = Zeroizing::new(text.to_ascii_lowercase());
    if WORDS.contains(lower.as_str()) {
        return true;
    }
    let apart = |c: char| " -=/.:,;_+!?'()[]<>*".contains(c);
    let words = || lower.split(apart).filter(|word| !word.is_empty());
    let is_number = |word: &str| word.len() <= 5 && word.bytes().all(|byte| byte.is_ascii_digit());
    words().all(is_number) || words().all(is_usual)
}

fn is_usual(word: &str) -> bool {
    let singular = word.strip_suffix('s').unwrap_or(word);
    WORDS.contains(word)
        || WORDS.contains(singular)
        || Verb::read(word.as_bytes()) != Verb::OTHER
        || classify::is_of_refusals(word)
}

#[cfg(test)]
mod tests {
    use super::are_usual;

    #[test]
    fn words_of_the_trade_are_usual_and_passwords_are_not() {
        for usual in [
            "scram",
            "auth",
            "PLAIN",
            "login",
            "ok",
            "a",
            "SCRAM-SHA-256",
            "AUTH=PLAIN",
            "imap4rev1",
            "AUTHENTICATIONFAILED",
            "Logged in",
            "throttled",
            "overloaded",
            "localhost",
            "5.7.8",
            "127.0.0.1",
            "1234",
            "",
        ] {
            assert!(are_usual(usual), "{usual}");
        }
        for odd in ["sunshine", "pässwört", "hunter2", "login-2024", "p\"q", "pass\\word", "x9-k2", "123456", "ions"]
        {
            assert!(!are_usual(odd), "{odd}");
        }
        // They begin like words that refusals are known by.
        for odd in [
            "maxK8qPz3vW",
            "Maximilian",
            "userX9kqz7",
            "Auth0rity77",
            "author",
            "Forgotten4Ever",
            "needham",
            "limitless",
            "failsafe",
            "throttlewood",
            "initech",
            "upperman",
            "authentico",
        ] {
            assert!(!are_usual(odd), "{odd}");
        }
    }
}
