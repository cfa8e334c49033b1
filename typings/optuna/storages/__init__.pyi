from optuna.storages.journal import JournalFileBackend

class JournalStorage:
    def __init__(self, backend: JournalFileBackend) -> None: ...
