-- A database of version 1, as a coordinator of that version left it: a job that a worker finished, one
-- that waits, the model, the device, and tokens of every role. It never changes.
BEGIN TRANSACTION;
PRAGMA user_version = 1;
CREATE TABLE changes (
        revision INTEGER NOT NULL,
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        PRIMARY KEY (revision, kind, id)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "changes" VALUES(1,'job','01a20c4b-cda1-77a5-aa40-eb4e7d2ae627');
INSERT INTO "changes" VALUES(2,'job','01a20c4c-013e-75f5-b39c-481551741570');
INSERT INTO "changes" VALUES(3,'job','01a20c4c-013e-75f5-b39c-481551741570');
INSERT INTO "changes" VALUES(4,'job','01a20c4c-013e-75f5-b39c-481551741570');
INSERT INTO "changes" VALUES(5,'job','01a20c4c-013e-75f5-b39c-481551741570');
INSERT INTO "changes" VALUES(6,'job','01a20c4c-013e-75f5-b39c-481551741570');
INSERT INTO "changes" VALUES(7,'device','01a20c4c-27ce-735a-ae48-a552327aba60');
INSERT INTO "changes" VALUES(8,'job','01a20c4c-013e-75f5-b39c-481551741570');
INSERT INTO "changes" VALUES(9,'job','01a20c4c-013e-75f5-b39c-481551741570');
INSERT INTO "changes" VALUES(10,'job','01a20c4c-013e-75f5-b39c-481551741570');
INSERT INTO "changes" VALUES(11,'job','01a20c4c-013e-75f5-b39c-481551741570');
INSERT INTO "changes" VALUES(12,'job','01a20c4c-013e-75f5-b39c-481551741570');
INSERT INTO "changes" VALUES(13,'job','01a20c4c-013e-75f5-b39c-481551741570');
INSERT INTO "changes" VALUES(14,'job','01a20c4c-013e-75f5-b39c-481551741570');
INSERT INTO "changes" VALUES(15,'job','01a20c4c-013e-75f5-b39c-481551741570');
INSERT INTO "changes" VALUES(16,'job','01a20c4c-013e-75f5-b39c-481551741570');
INSERT INTO "changes" VALUES(17,'job','01a20c4c-013e-75f5-b39c-481551741570');
INSERT INTO "changes" VALUES(18,'job','01a20c4c-013e-75f5-b39c-481551741570');
INSERT INTO "changes" VALUES(19,'job','01a20c4c-013e-75f5-b39c-481551741570');
INSERT INTO "changes" VALUES(19,'model','01a20c4c-291f-7617-8b1f-697b000ade75');
CREATE TABLE devices (
        id TEXT PRIMARY KEY,
        hardware_id TEXT NOT NULL,
        instance INTEGER NOT NULL,
        record TEXT NOT NULL,
        UNIQUE (hardware_id, instance)
    ) STRICT;
INSERT INTO "devices" VALUES('01a20c4c-27ce-735a-ae48-a552327aba60','463439d385b3658c1042f6b11419bf24',0,'{"id":"01a20c4c-27ce-735a-ae48-a552327aba60","hardware_id":"463439d385b3658c1042f6b11419bf24","instance":0,"name":"vm","device_type":"linux","cores":2,"ram_gb":23.5,"gpu_available":false,"gpu_name":null,"fingerprint":{"app":"0.1.0","burn":"0.22.1","backend":"cpu","hardware":"x86_64+avx512+7c7ba259"},"created_at":"2026-11-24T06:44:07.246Z","last_seen":"2026-11-24T06:44:07.556Z","state":"waiting","reason":null,"revoked":false}');
CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        created_at INTEGER NOT NULL,
        spec TEXT NOT NULL,
        machine TEXT NOT NULL
    ) STRICT;
INSERT INTO "jobs" VALUES('01a20c4b-cda1-77a5-aa40-eb4e7d2ae627',1795502624161,'{"name":"tiny","model_type":"nlp","dataset":"synthetic","seed":42,"model":{"preset":null,"input":{"kind":"text","buckets":16,"ngrams":1,"max_words":8,"unique":false},"layers":[{"kind":"embedding_bag","dimension":2,"combine":"mean"},{"kind":"linear","outputs":4}]},"data":{"partitions":2,"partitioner":{"kind":"iid"},"train_limit":40},"plan":{"local_epochs":null,"local_steps":null,"batch_size":null,"optimizer":null,"threads":null},"strategy":{"name":"fedavg","fraction":1.0},"run":{"rounds":2,"target_accuracy":0.0,"minimum_fraction":1.0,"round_deadline":"","reproducible":null,"priority":0}}','{"settings":{"job":"01a20c4b-cda1-77a5-aa40-eb4e7d2ae627","spec":{"name":"tiny","model_type":"nlp","dataset":"synthetic","seed":42,"model":{"preset":null,"input":{"kind":"text","buckets":16,"ngrams":1,"max_words":8,"unique":false},"layers":[{"kind":"embedding_bag","dimension":2,"combine":"mean"},{"kind":"linear","outputs":4}]},"data":{"partitions":2,"partitioner":{"kind":"iid"},"train_limit":40},"plan":{"local_epochs":null,"local_steps":null,"batch_size":null,"optimizer":null,"threads":null},"strategy":{"name":"fedavg","fraction":1.0},"run":{"rounds":2,"target_accuracy":0.0,"minimum_fraction":1.0,"round_deadline":"","reproducible":null,"priority":0}},"lease_seconds":60},"phase":"pending","paused":null,"started_at":null,"completed_at":null}');
INSERT INTO "jobs" VALUES('01a20c4c-013e-75f5-b39c-481551741570',1795502637374,'{"name":"tiny","model_type":"nlp","dataset":"synthetic","seed":42,"model":{"preset":null,"input":{"kind":"text","buckets":16,"ngrams":1,"max_words":8,"unique":false},"layers":[{"kind":"embedding_bag","dimension":2,"combine":"mean"},{"kind":"linear","outputs":4}]},"data":{"partitions":2,"partitioner":{"kind":"iid"},"train_limit":40},"plan":{"local_epochs":null,"local_steps":null,"batch_size":null,"optimizer":null,"threads":null},"strategy":{"name":"fedavg","fraction":1.0},"run":{"rounds":2,"target_accuracy":0.0,"minimum_fraction":1.0,"round_deadline":"","reproducible":null,"priority":0}}','{"settings":{"job":"01a20c4c-013e-75f5-b39c-481551741570","spec":{"name":"tiny","model_type":"nlp","dataset":"synthetic","seed":42,"model":{"preset":null,"input":{"kind":"text","buckets":16,"ngrams":1,"max_words":8,"unique":false},"layers":[{"kind":"embedding_bag","dimension":2,"combine":"mean"},{"kind":"linear","outputs":4}]},"data":{"partitions":2,"partitioner":{"kind":"iid"},"train_limit":40},"plan":{"local_epochs":null,"local_steps":null,"batch_size":null,"optimizer":null,"threads":null},"strategy":{"name":"fedavg","fraction":1.0},"run":{"rounds":2,"target_accuracy":0.0,"minimum_fraction":1.0,"round_deadline":"","reproducible":null,"priority":0}},"lease_seconds":60},"phase":{"finished":{"ending":{"completed":{"model":"01a20c4c-291f-7617-8b1f-697b000ade75","file":"1ecf3e6c2db765be3f35010541c42ca07c5539d7a7d17037a1474cfd4d88e2e4"}},"run":{"preparation":{"spec":{"input":{"kind":"text","buckets":16,"ngrams":1,"max_words":8,"unique":false},"layers":[{"kind":"embedding_bag","dimension":2,"combine":"mean"},{"kind":"linear","outputs":4}]},"base":"b3060b0eae22d056a1199889e43e1cba0e892bda74091f07b0de17568362b709","partitions":[{"rows":20,"shards":["45522aad575e09242128cc6b81e2979bfa6ef85f32616406018c2edd8d753f73"]},{"rows":20,"shards":["5a68decb3c88222b3af06e78b6ae44d95d2fcb7a007ab23d6d05d99febd5f6cc"]}],"test":["15f8c8e678b51deaa0e4a560c3fd068423a8e54b81fd62e587d19173badd944d"],"validation":[],"classes":["nature","music","space","kitchen"]},"parameters":44,"binding":{"one":{"fingerprint":{"app":"0.1.0","burn":"0.22.1","backend":"cpu","hardware":"x86_64+avx512+7c7ba259"}}},"stage":{"registering":{"model":"ee2af6da0e6d7e39ddefec218cddfd0f858619db217a76f650d97201bb3c27e3"}},"round":{"number":2,"base":"df2e0be592abc3b502aa716b1bb75e33650886afa7fa854c09a500352d18a3ec","closes_at":null,"overdue":false,"seats":[{"partition":0,"rows":20,"occupancy":{"reported":{"blob":"66bc4230e2b4fd6e72cdaaf0b50884b1e501fa68fb9188ffd2f4b36d31746b1b","bytes":176,"fingerprint":{"app":"0.1.0","burn":"0.22.1","backend":"cpu","hardware":"x86_64+avx512+7c7ba259"},"loss":1.4466912746429443,"examples":20}},"failures":[]},{"partition":1,"rows":20,"occupancy":{"reported":{"blob":"eadd0409d0266f2bef9a22f8b741d903643190b7d74bc52719785966d2de75ef","bytes":176,"fingerprint":{"app":"0.1.0","burn":"0.22.1","backend":"cpu","hardware":"x86_64+avx512+7c7ba259"},"loss":1.5148441791534424,"examples":20}},"failures":[]}],"leases":{"01a20c4c-2868-71ea-80d6-087fa0cd4bc1":{"device":"01a20c4c-27ce-735a-ae48-a552327aba60","seat":0,"granted_at":"2026-11-24T06:44:07.4Z","deadline":"2026-11-24T06:45:07.445Z","stepped":true,"standing":"accepted"},"01a20c4c-28a9-7785-a8e2-cccc9810970e":{"device":"01a20c4c-27ce-735a-ae48-a552327aba60","seat":1,"granted_at":"2026-11-24T06:44:07.465Z","deadline":"2026-11-24T06:45:07.541Z","stepped":true,"standing":"accepted"}},"short_of_memory":[]},"earlier":{"01a20c4c-27d5-72ab-94da-c1959da78305":{"round":1,"partition":0,"device":"01a20c4c-27ce-735a-ae48-a552327aba60","accepted":"fbc7ab796d19ff5e96ef518a76ca624026de54f2ebeed0e4f9156046066660cf"},"01a20c4c-2804-758a-83ae-e36ed8ccfdd4":{"round":1,"partition":1,"device":"01a20c4c-27ce-735a-ae48-a552327aba60","accepted":"acdf0a0b5ba9e496d0657efb474068086dea6f83ce0f22cbcafa30c25c280a47"}},"seen":{"01a20c4c-27ce-735a-ae48-a552327aba60":"2026-11-24T06:44:07.541Z"},"history":[{"round":1,"seats":2,"reported":2,"leased":0,"opened_at":"2026-11-24T06:44:06.516Z","closed_at":"2026-11-24T06:44:07.4Z","evaluation":{"accuracy":0.247,"loss":1.478822528325718,"examples":2000,"confusion":[[494,0,0,0],[506,0,0,0],[513,0,0,0],[487,0,0,0]]},"train_loss":1.4996598958969116,"examples":40,"bytes_up":352,"bytes_down":176,"model":"df2e0be592abc3b502aa716b1bb75e33650886afa7fa854c09a500352d18a3ec"},{"round":2,"seats":2,"reported":2,"leased":0,"opened_at":"2026-11-24T06:44:07.4Z","closed_at":"2026-11-24T06:44:07.55Z","evaluation":{"accuracy":0.247,"loss":1.4672677402420642,"examples":2000,"confusion":[[494,0,0,0],[506,0,0,0],[513,0,0,0],[487,0,0,0]]},"train_loss":1.4807677268981934,"examples":40,"bytes_up":352,"bytes_down":176,"model":"ee2af6da0e6d7e39ddefec218cddfd0f858619db217a76f650d97201bb3c27e3"}],"leases_lost":0,"closing":null}}},"paused":null,"started_at":"2026-11-24T06:43:57.376Z","completed_at":"2026-11-24T06:44:07.583Z"}');
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
INSERT INTO "meta" VALUES('cluster_id','01a20c4b-cbb0-77ba-8b94-f11196525a5e');
CREATE TABLE models (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        model TEXT NOT NULL,
        card TEXT NOT NULL,
        UNIQUE (name, version)
    ) STRICT;
INSERT INTO "models" VALUES('01a20c4c-291f-7617-8b1f-697b000ade75','tiny',1,'{"id":"01a20c4c-291f-7617-8b1f-697b000ade75","name":"tiny","model_type":"nlp","checkpoint_path":"/models/tiny/download?version=1","size_mb":0.00064,"status":"ready","created_at":"2026-11-24T06:44:07.583Z","version":1,"blake3":"1ecf3e6c2db765be3f35010541c42ca07c5539d7a7d17037a1474cfd4d88e2e4","job_id":"01a20c4c-013e-75f5-b39c-481551741570","dataset":"synthetic","classes":["nature","music","space","kitchen"],"spec":{"input":{"kind":"text","buckets":16,"ngrams":1,"max_words":8,"unique":false},"layers":[{"kind":"embedding_bag","dimension":2,"combine":"mean"},{"kind":"linear","outputs":4}]},"parameters":44,"evaluation":{"accuracy":0.247,"loss":1.4672677402420642,"examples":2000,"confusion":[[494,0,0,0],[506,0,0,0],[513,0,0,0],[487,0,0,0]]}}','{"constellation":"0.1.0","format":"safetensors, tensors in layout order under PyTorch''s names","model":{"blake3":"1ecf3e6c2db765be3f35010541c42ca07c5539d7a7d17037a1474cfd4d88e2e4","checkpoint_path":"/models/tiny/download?version=1","classes":["nature","music","space","kitchen"],"created_at":"2026-11-24T06:44:07.583Z","dataset":"synthetic","evaluation":{"accuracy":0.247,"confusion":[[494,0,0,0],[506,0,0,0],[513,0,0,0],[487,0,0,0]],"examples":2000,"loss":1.4672677402420642},"id":"01a20c4c-291f-7617-8b1f-697b000ade75","job_id":"01a20c4c-013e-75f5-b39c-481551741570","model_type":"nlp","name":"tiny","parameters":44,"size_mb":0.00064,"spec":{"input":{"buckets":16,"kind":"text","max_words":8,"ngrams":1,"unique":false},"layers":[{"combine":"mean","dimension":2,"kind":"embedding_bag"},{"kind":"linear","outputs":4}]},"status":"ready","version":1},"origin":{"config":{"data":{"partitioner":{"kind":"iid"},"partitions":2,"train_limit":40},"dataset":"synthetic","model":{"input":{"buckets":16,"kind":"text","max_words":8,"ngrams":1,"unique":false},"layers":[{"combine":"mean","dimension":2,"kind":"embedding_bag"},{"kind":"linear","outputs":4}],"preset":null},"model_type":"nlp","name":"tiny","plan":{"batch_size":null,"local_epochs":null,"local_steps":null,"optimizer":null,"threads":null},"run":{"minimum_fraction":1.0,"priority":0,"reproducible":null,"round_deadline":"","rounds":2,"target_accuracy":0.0},"seed":42,"strategy":{"fraction":1.0,"name":"fedavg"}},"job":"01a20c4c-013e-75f5-b39c-481551741570","rounds":2}}');
CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,
        role TEXT NOT NULL,
        name TEXT NOT NULL,
        device TEXT,
        created_at INTEGER NOT NULL
    ) STRICT;
INSERT INTO "tokens" VALUES('01a20c4b-cbbc-730a-b8ef-fc8597b09dd4',X'39A2AB2DE1424C312C121E41A7CED0FC165CD795F309ACDE6AAAEF57D1A5E717','admin','this machine',NULL,1795502623676);
INSERT INTO "tokens" VALUES('01a20c4c-012c-73b7-b06f-54ad12f51850',X'066A2763AB2B2A80A56B47BEA978DCAC6A637E75F7482CE12CB06E6CBF50DC6B','viewer','a viewer',NULL,1795502637356);
INSERT INTO "tokens" VALUES('01a20c4c-0135-731f-b9d1-38df330ae9db',X'256A7F0D584D69E172E65DCFB0EE512BFB744EFD06D9B52D154A1278D3622A2D','join','a code',NULL,1795502637365);
INSERT INTO "tokens" VALUES('01a20c4c-017f-7639-8808-fba9ee1acd47',X'2F6337EE952B6A48B554C22D823CF531133134C45C8792E45EF1E107CB30965F','join','',NULL,1795502637439);
INSERT INTO "tokens" VALUES('01a20c4c-263b-70dc-9a9b-88a52fc9741b',X'7B98E36982431ABCB070059C3BA3B57A3AAC2AB86D5779796E7E24248ED2253B','join','',NULL,1795502646843);
INSERT INTO "tokens" VALUES('01a20c4c-27ce-735a-ae48-a55389e169f7',X'22C6A88376751E70A141243649C6634A0E977A285AB91B8772EE1625DA661EE3','device','','01a20c4c-27ce-735a-ae48-a552327aba60',1795502647246);
COMMIT;
