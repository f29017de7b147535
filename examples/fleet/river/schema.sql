-- What is needed besides river's own tables.
CREATE TABLE IF NOT EXISTS mail (
	id bigserial PRIMARY KEY, sender text NOT NULL, content bytea NOT NULL,
	arrival timestamptz NOT NULL DEFAULT now(),
	begun text -- the attempt in which the server may have got the end of the content
);
CREATE TABLE IF NOT EXISTS mail_recipient (
	mail bigint NOT NULL REFERENCES mail ON DELETE CASCADE, address text NOT NULL,
	status text NOT NULL DEFAULT 'open', -- or delivered, failed, expired, unknown
	tries int NOT NULL DEFAULT 0, unknown int NOT NULL DEFAULT 0, reason text NOT NULL DEFAULT '',
	PRIMARY KEY (mail, address)
);
