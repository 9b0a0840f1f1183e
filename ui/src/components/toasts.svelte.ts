// Short messages in the corner of the page, some with an Undo button.
export interface Toast {
  id: number;
  text: string;
  tone: 'good' | 'bad';
  undo?: () => void;
}

const SECONDS = { good: 6, bad: 12 };
/** Long enough to reach the Undo button by keyboard. */
const UNDO_SECONDS = 20;

class Toasts {
  list = $state.raw<Toast[]>([]);
  private next = 1;

  success(text: string, undo?: () => void): void {
    this.add({ id: this.next, text, tone: 'good', undo });
  }

  error(text: string): void {
    this.add({ id: this.next, text, tone: 'bad' });
  }

  close(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }

  private add(toast: Toast): void {
    this.next += 1;
    this.list = [...this.list.slice(-3), toast];
    const seconds = toast.undo ? UNDO_SECONDS : SECONDS[toast.tone];
    setTimeout(() => this.close(toast.id), seconds * 1000);
  }
}

export const toasts = new Toasts();
