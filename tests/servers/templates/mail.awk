# Fills the mailboxes of the users u1 to u8 below `root`, as Maildirs. Each message says which mailbox it is in, and
# whose: a reply from the wrong one gives itself away.
BEGIN {
  messages["INBOX"] = 30; messages["Archive"] = 20; messages["Sent"] = 10
  for (number = 1; number <= 8; number++)
    for (mailbox in messages) fill("u" number, mailbox, messages[mailbox])
}

function fill(user, mailbox, count,    folder, list, n, name) {
  folder = root "/" user "/Maildir" (mailbox == "INBOX" ? "" : "/." mailbox)
  system("mkdir -p " folder "/cur " folder "/new " folder "/tmp")
  if (mailbox != "INBOX") printf "" > (folder "/maildirfolder")
  # Numbered here: a message delivered before a mailbox is first opened would come before those it had already.
  list = folder "/dovecot-uidlist"
  printf "3 V1700000000 N%d\n", count + 1 > list
  for (n = 1; n <= count; n++) {
    name = (1700000000 + n * 60) ".M" n "P1.localhost"
    printf "%d :%s\n", n, name > list
    write(folder "/cur/" name ":2,", user, mailbox, n, count)
  }
  close(list)
}

function write(file, user, mailbox, n, count) {
  printf "Return-Path: <sender%d@example.org>\n", n > file
  printf "Date: Tue, 14 Nov 2023 22:%d:20 +0000\n", 13 + n > file
  printf "From: Sender %d <sender%d@example.org>\nTo: %s@localhost\n", n, n, user > file
  printf "Subject: %s message %d of %s\nMessage-ID: <%s.%d.%s@localhost>\n", mailbox, n, user, mailbox, n, user > file
  printf "MIME-Version: 1.0\nContent-Type: text/plain; charset=us-ascii\n\n" > file
  printf "This is message %d of %d in the mailbox %s of %s.\nmailbox=%s\n", n, count, mailbox, user, mailbox > file
  close(file)
}
